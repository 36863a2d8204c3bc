import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface StartSearch {
  /** The run whose args fill the form. */
  from?: string | undefined;
  /** Args as JSON, for a link that fills the form. */
  args?: string | undefined;
}

export function validateSearch(search: RawSearch): StartSearch {
  return { from: text(search.from), args: text(search.args) };
}
