import type { RawSearch } from "@/model/search";
import { oneOf } from "@/model/search";

export const TABS = ["overview", "graph", "schema"] as const;

export interface WorkflowSearch {
  tab?: (typeof TABS)[number] | undefined;
}

export function validateSearch(search: RawSearch): WorkflowSearch {
  return { tab: oneOf(TABS, search.tab) };
}
