import { useQuery } from "@tanstack/react-query";
import { historyQuery } from "@/api/queries";
import type { Checkpoint, Json } from "@/api/types";

export interface KnownState {
  value: Json;
  /** It is being loaded. */
  loading: boolean;
  error: Error | null;
  refetch: () => void;
}

/**
 * The state after a row of the history. Rows from the stream carry none: it is fetched once, because
 * a row of the history doesn't change.
 */
export function useStateAt(workflowId: string, row: Checkpoint | null): KnownState {
  const version = row?.version ?? 0;
  const missing = row !== null && row.state === null;
  const query = useQuery({
    ...historyQuery(workflowId, { after: version - 1, before: version + 1, limit: 1 }),
    enabled: missing,
    staleTime: Infinity,
    meta: { live: "in-place" },
  });
  return {
    value: row?.state ?? query.data?.[0]?.state ?? null,
    loading: missing && query.isPending,
    error: query.error,
    refetch: () => void query.refetch(),
  };
}
