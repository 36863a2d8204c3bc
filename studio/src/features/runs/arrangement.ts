import { useEffect, useEffectEvent, useState } from "react";
import { keep, stored } from "@/ui/setting";

/** All columns of the table, in the order in which they are offered. */
export const COLUMNS = ["status", "workflow", "run", "place", "why", "started", "duration", "labels", "app", "user", "version", "attempt", "priority", "parent", "updated"] as const;
export type ColumnId = (typeof COLUMNS)[number];

/** The columns that are shown by default. */
export const USUAL = COLUMNS.slice(0, 8).join(",");

/** The columns that a text names, in its order; null if it names none. It may be typed by hand, or by another version. */
export function columnsIn(text: string | null | undefined): ColumnId[] | null {
  const named = new Set((text ?? "").split(",").map((one) => one.trim()));
  const known = [...named].filter((one): one is ColumnId => (COLUMNS as readonly string[]).includes(one));
  return known.length > 0 ? known : null;
}

/** With the column shown or not; one that comes back comes last, and the last one stays. */
export function shownOrNot(columns: readonly ColumnId[], id: ColumnId, shown: boolean): ColumnId[] {
  const others = columns.filter((one) => one !== id);
  if (shown) return columns.includes(id) ? [...columns] : [...others, id];
  return others.length > 0 ? others : [...columns];
}

/** With the column one place earlier (-1) or later (1), as far as there is one. */
export function moved(columns: readonly ColumnId[], id: ColumnId, by: -1 | 1): ColumnId[] {
  const at = columns.indexOf(id);
  const to = at + by;
  if (at < 0 || to < 0 || to >= columns.length) return [...columns];
  const next = columns.filter((one) => one !== id);
  next.splice(to, 0, id);
  return next;
}

const KEY = "stepwell.runs-columns";

/**
 * The columns that are shown, and how to show others. They are in the address, so that a link shows the same table; an address
 * without them gets those stored in this browser.
 */
export function useArrangement(said: string | undefined, say: (columns: string | undefined) => void): [readonly ColumnId[], (columns: readonly ColumnId[]) => void] {
  const [kept, setKept] = useState(() => columnsIn(stored(KEY))?.join(",") ?? USUAL);
  const unsaid = said === undefined && kept !== USUAL;
  const sayKept = useEffectEvent(() => { say(kept); });
  useEffect(() => {
    if (unsaid) sayKept();
  }, [unsaid]);
  const arrange = (columns: readonly ColumnId[]) => {
    const next = columns.join(",");
    keep(KEY, next === USUAL ? null : next);
    setKept(next);
    say(next === USUAL ? undefined : next);
  };
  return [columnsIn(said ?? kept) ?? columnsIn(USUAL) ?? [], arrange];
}
