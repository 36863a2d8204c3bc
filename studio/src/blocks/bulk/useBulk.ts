import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { keys } from "@/api/keys";
import { bulk } from "@/api/mutations";
import type { BulkRequest, BulkResult } from "@/api/types";

export interface Progress {
  done: number;
  skipped: Record<string, number>;
  failed: BulkResult["failed"];
  state: "idle" | "running" | "stopped" | "ended" | "broken";
  error: unknown;
}

export const NOTHING: Progress = { done: 0, skipped: {}, failed: [], state: "idle", error: null };

/** A bulk action, a page at a time until there are no more, or the user stops it. Completed parts aren't undone. */
export function useBulk() {
  const client = useQueryClient();
  const [progress, setProgress] = useState(NOTHING);
  const stopped = useRef(false);
  const run = async (request: BulkRequest, reason: string | undefined) => {
    stopped.current = false;
    let sum: Progress = { ...NOTHING, state: "running" };
    setProgress(sum);
    try {
      let cursor: string | null = null;
      do {
        const result: BulkResult = await bulk({ ...request, reason, cursor });
        cursor = result.next_cursor;
        sum = merged(sum, result);
        setProgress(sum);
      } while (cursor !== null && !isStopped(stopped));
      sum = { ...sum, state: cursor === null ? "ended" : "stopped" };
    } catch (error) {
      sum = { ...sum, state: "broken", error };
    }
    setProgress(sum);
    await client.invalidateQueries({ queryKey: keys.runs });
  };
  return { progress, run, stop: () => { stopped.current = true; } };
}

const isStopped = (flag: { current: boolean }) => flag.current;

/** What was done so far, and with this page. */
export function merged(sum: Progress, result: BulkResult): Progress {
  const skipped = { ...sum.skipped };
  for (const [why, count] of Object.entries(result.skipped)) skipped[why] = (skipped[why] ?? 0) + count;
  return { ...sum, done: sum.done + result.done, skipped, failed: [...sum.failed, ...result.failed] };
}
