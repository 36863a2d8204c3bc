import type { RunFilter, RunStatus } from "@/api/types";
import type { RawSearch } from "@/model/search";
import { someOf, text } from "@/model/search";
import { columnsIn } from "./arrangement";

/** The filter and the columns come from the address: a link shows the same runs to every reader. */
export interface RunsSearch extends RunFilter {
  /** The columns that are shown, in order: `status,workflow,run`. */
  columns?: string | undefined;
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
    parent_id: text(search.parent_id),
    place: text(search.place),
    q: text(search.q),
    created_after: text(search.created_after),
    created_before: text(search.created_before),
    columns: columnsIn(text(search.columns))?.join(","),
  };
}
