import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { waitingQuery } from "@/api/queries";
import type { Run } from "@/api/types";
import { answerableIn } from "@/model/asked";

/**
 * What people may answer of a run in a list, by the questions that wait: none where only its children, a time or an
 * event go on with it; undefined where it isn't known. For `lookOf` and `statusSentence`.
 */
export function useAsked(): (run: Run) => readonly string[] | undefined {
  const { data, dataUpdatedAt } = useInfiniteQuery(waitingQuery());
  return useMemo(() => (run: Run) => answerableIn(data?.pages ?? [], dataUpdatedAt, run), [data, dataUpdatedAt]);
}
