import { useState } from "react";
import { keep, stored } from "@/ui/setting";

/** A named address of the table: its filter and its columns. */
export interface View {
  name: string;
  /** As behind the `?` of the address. */
  search: string;
}

const KEY = "stepwell.runs-views";

/** The views that this browser keeps, and how to keep others. */
export function useViews(): [readonly View[], (views: readonly View[]) => void] {
  const [views, setViews] = useState<readonly View[]>(() => viewsIn(stored(KEY)));
  const set = (next: readonly View[]) => {
    setViews(next);
    keep(KEY, JSON.stringify(next));
  };
  return [views, set];
}

/** What was kept, as far as this version understands it. */
export function viewsIn(text: string | null): View[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found.filter(isView).map(({ name, search }) => ({ name, search })) : [];
  } catch {
    return []; // written by something else
  }
}

function isView(one: unknown): one is View {
  const view = one as Partial<View> | null;
  return typeof view === "object" && view !== null && typeof view.name === "string" && typeof view.search === "string";
}

/** With the view, by its name; it takes the place of one of the same name. */
export function withView(views: readonly View[], view: View): View[] {
  return [...views.filter((one) => one.name !== view.name), view].sort((a, b) => a.name.localeCompare(b.name));
}
