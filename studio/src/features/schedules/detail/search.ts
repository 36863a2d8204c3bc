import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface ScheduleSearch {
  /** The user for whom it was made at run time; none: it is declared. */
  user?: string | undefined;
}

export function validateSearch(search: RawSearch): ScheduleSearch {
  return { user: text(search.user) };
}
