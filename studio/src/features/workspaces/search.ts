import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export interface WorkspacesSearch {
  app_name?: string | undefined;
  user_id?: string | undefined;
}

export function validateSearch(search: RawSearch): WorkspacesSearch {
  return { app_name: text(search.app_name), user_id: text(search.user_id) };
}
