import { useState } from "react";
import { kept } from "@/ui/personal";

/** A named address of the table: its filter and its columns. */
export interface View {
  name: string;
  /** As behind the `?` of the address. */
  search: string;
}

const NAME = "runs-views";

/** The views that this user stored in this browser, and how to store others. */
export function useViews(): [readonly View[], (views: readonly View[]) => void] {
  const [views, setViews] = useState<readonly View[]>(() => viewsIn(kept.get(NAME)));
  const set = (next: readonly View[]) => {
    setViews(next);
    kept.set(NAME, next);
  };
  return [views, set];
}

/** The stored views, as far as this version understands them. */
export function viewsIn(found: unknown): View[] {
  return Array.isArray(found) ? found.filter(isView).map(({ name, search }) => ({ name, search })) : [];
}

function isView(one: unknown): one is View {
  const view = one as Partial<View> | null;
  return typeof view === "object" && view !== null && typeof view.name === "string" && typeof view.search === "string";
}

/** Adds the view; it replaces one of the same name. */
export function withView(views: readonly View[], view: View): View[] {
  return [...views.filter((one) => one.name !== view.name), view].sort((a, b) => a.name.localeCompare(b.name));
}
