import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface WorkflowsSearch {
  q?: string | undefined;
  app_name?: string | undefined;
}

export function validateSearch(search: RawSearch): WorkflowsSearch {
  return { q: text(search.q), app_name: text(search.app_name) };
}
