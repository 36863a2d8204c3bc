import type { RawSearch } from "@/model/search";
import { number, text } from "@/model/search";

/** What the address of a run's page says. */
export interface RunSearch {
  tab?: string | undefined;
  /** The history row that all tabs show. */
  at?: number | undefined;
}

export function validateSearch(search: RawSearch): RunSearch {
  return { tab: text(search.tab), at: number(search.at) };
}
