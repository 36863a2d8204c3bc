import { useQuery } from "@tanstack/react-query";
import { historyQuery } from "@/api/queries";
import type { Checkpoint } from "@/api/types";
import { useRunPage } from "./data";

/** The stack of a failed row, for users who may see it. Rows from the stream have none: it is fetched. */
export function useTrace(row: Checkpoint | null): string | null {
  const { run, me } = useRunPage();
  const version = row?.version ?? 0;
  const missing = row?.status === "failed" && row.trace === null && me?.everybody === true;
  const query = useQuery({
    ...historyQuery(run.workflow_id, { after: version - 1, before: version + 1, limit: 1 }),
    enabled: missing,
    staleTime: Infinity,
    meta: { live: "in-place" },
  });
  return row?.trace ?? query.data?.[0]?.trace ?? null;
}
