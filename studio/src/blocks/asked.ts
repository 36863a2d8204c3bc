import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { waitingQuery } from "@/api/queries";
import type { Run } from "@/api/types";
import { answerableIn } from "@/model/asked";

/**
 * The transitions of a listed run that people may answer, from the list of questions: none if only its children, a timer or an
 * event continue it; undefined if it isn't known. For `lookOf` and `statusSentence`.
 */
export function useAsked(): (run: Run) => readonly string[] | undefined {
  const { data, dataUpdatedAt } = useInfiniteQuery(waitingQuery());
  return useMemo(() => (run: Run) => answerableIn(data?.pages ?? [], dataUpdatedAt, run), [data, dataUpdatedAt]);
}
