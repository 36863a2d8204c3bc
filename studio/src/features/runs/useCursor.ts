import { useState } from "react";
import type { Run } from "@/api/types";
import type { Shortcut } from "@/ui/shortcuts";

interface Acts {
  open: (id: string) => void;
  select: (id: string) => void;
}

/** The keyboard's current row: j and k move it, Enter opens it, x selects it, Space shows it beside the list. */
export function useCursor(rows: readonly Run[], { open, select }: Acts) {
  const [current, setCurrent] = useState<string | null>(null);
  const [peeking, setPeeking] = useState(false);
  const at = rows.findIndex((run) => run.workflow_id === current);
  const move = (by: number) => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
    if (!next) return;
    setCurrent(next.workflow_id);
    document.querySelector(`[data-row="${CSS.escape(next.workflow_id)}"]`)?.scrollIntoView({ block: "nearest" });
  };
  const keys: Shortcut[] = [
    { key: "j", label: "Next run", run: () => { move(1); } },
    { key: "k", label: "Previous run", run: () => { move(-1); } },
    { key: "Enter", label: "Open the run", run: () => { if (current !== null) open(current); } },
    { key: "x", label: "Select the run", run: () => { if (current !== null) select(current); } },
    { key: " ", label: "Preview the run beside the list", run: () => { if (current !== null) setPeeking(true); } },
  ];
  return { current, keys, peeked: peeking ? rows[at] : undefined, close: () => { setPeeking(false); } };
}
