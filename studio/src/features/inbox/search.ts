import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface InboxSearch {
  app_name?: string | undefined;
  /** The run whose question is open. */
  run?: string | undefined;
}

export function validateSearch(search: RawSearch): InboxSearch {
  return { app_name: text(search.app_name), run: text(search.run) };
}
