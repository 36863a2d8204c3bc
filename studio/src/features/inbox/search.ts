import type { RawSearch } from "@/model/search";
import { flag, text } from "@/model/search";

export interface InboxSearch {
  app_name?: string | undefined;
  workflow?: string | undefined;
  overdue?: boolean | undefined;
  /** Only what this person may answer. */
  mine?: boolean | undefined;
  /** The run whose question is open. */
  run?: string | undefined;
}

export function validateSearch(search: RawSearch): InboxSearch {
  return {
    app_name: text(search.app_name),
    workflow: text(search.workflow),
    overdue: flag(search.overdue),
    mine: flag(search.mine),
    run: text(search.run),
  };
}
