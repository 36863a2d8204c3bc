import { useQuery } from "@tanstack/react-query";
import { explainQuery } from "@/api/queries";
import type { Run } from "@/api/types";
import { usePausesOf } from "@/blocks/pauses/usePauses";
import { isHeldBack } from "@/model/why";

/** Room at a limit, and a pause, have no events. */
const EVERY = 10_000;

/** The server's reason why the run is held back by a limit, its group or a pause; null: it isn't, or the reason isn't known yet. */
export function useHeld(run: Run): string | null {
  const ready = run.ready_at !== null;
  const paused = usePausesOf(run.app_name, run.workflow_name, ready).length > 0;
  const held = isHeldBack(run) || (ready && paused);
  const explain = useQuery({ ...explainQuery(run.workflow_id), enabled: held, refetchInterval: EVERY });
  return held ? (explain.data?.reasons[0] ?? null) : null;
}
