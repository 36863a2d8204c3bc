import type { RunStatus } from "@/api/types";
import type { RawSearch } from "@/model/search";
import { oneOf } from "@/model/search";

export interface BatchSearch {
  /** Only runs of this status are listed. */
  status?: RunStatus | undefined;
}

const STATUSES: readonly RunStatus[] = ["pending", "running", "waiting", "retrying", "completed", "failed", "canceled"];

export function validateSearch(search: RawSearch): BatchSearch {
  return { status: oneOf(STATUSES, search.status) };
}
