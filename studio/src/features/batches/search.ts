import type { BatchFilter } from "@/api/types";
import type { RawSearch } from "@/model/search";
import { text } from "@/model/search";

export function validateSearch(search: RawSearch): BatchFilter {
  return { app_name: text(search.app_name), user_id: text(search.user_id) };
}
