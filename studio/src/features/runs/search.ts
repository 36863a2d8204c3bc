import type { RunStatus } from "@/api/types";
import type { RawSearch } from "@/model/search";
import { someOf, text } from "@/model/search";

export interface RunsSearch {
  status?: RunStatus[] | undefined;
  app_name?: string | undefined;
  workflow?: string | undefined;
  label?: string | undefined;
  workspace_id?: string | undefined;
  user_id?: string | undefined;
  place?: string | undefined;
  q?: string | undefined;
  created_after?: string | undefined;
  created_before?: string | undefined;
}

const STATUSES: readonly RunStatus[] = ["pending", "running", "waiting", "retrying", "completed", "failed", "canceled"];

export function validateSearch(search: RawSearch): RunsSearch {
  return {
    status: someOf(STATUSES, search.status),
    app_name: text(search.app_name),
    workflow: text(search.workflow),
    label: text(search.label),
    workspace_id: text(search.workspace_id),
    user_id: text(search.user_id),
    place: text(search.place),
    q: text(search.q),
    created_after: text(search.created_after),
    created_before: text(search.created_before),
  };
}
