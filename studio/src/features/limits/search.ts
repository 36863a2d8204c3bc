import type { RawSearch } from "@/model/search";
import { flag, text } from "@/model/search";

export interface LimitsSearch {
  app_name?: string | undefined;
  /** Only limits that hold runs back. */
  held?: true | undefined;
  /** The id of the limit that is looked at. */
  limit?: string | undefined;
}

export function validateSearch(search: RawSearch): LimitsSearch {
  return { app_name: text(search.app_name), held: flag(search.held), limit: text(search.limit) };
}
