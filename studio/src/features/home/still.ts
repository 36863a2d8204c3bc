import type { Lane, Paused, Queue, Run } from "@/api/types";
import { counted } from "@/model/actions";
import { isCovered } from "@/model/pauses";
import type { Millis } from "@/model/time";
import { moment, short } from "@/model/time";

export interface Still {
  /** Runs, since when, and why: one sentence. */
  said: string;
  cure: "start a worker" | "look at the workers" | "ask for a worker";
  app: string | null;
  workflow: string | null;
}

/** A worker polls every few seconds: a run that is due for longer than this waits for something else than the next poll. */
const ALONE = 10_000;
/** Behind others it may take longer, and nothing is wrong yet. */
const BEHIND = 60_000;

/** Runs that are due but don't continue, by workflow, the longest-waiting first. What is paused is told as that. */
export function stillIn(queue: Queue, now: Millis): Still[] {
  return queue.lanes
    .filter((lane) => !lane.paused && now - moment(lane.oldest_at) > (lane.workers === 0 ? ALONE : BEHIND))
    .sort((a, b) => moment(a.oldest_at) - moment(b.oldest_at))
    .map((lane) => ({ said: sentence(lane, queue.capped_at, now), cure: lane.workers === 0 ? "start a worker" : "look at the workers", app: lane.app_name, workflow: lane.workflow_name }));
}

function sentence(lane: Lane, cap: number, now: Millis): string {
  const runs = `${counted(lane.ready, "run", lane.ready >= cap)} of ${lane.workflow_name}`;
  const since = `${lane.ready === 1 ? "has" : "have"} been due for up to ${short(now - moment(lane.oldest_at))}`;
  if (lane.workers === 0) return `${runs} ${since}: no live worker takes this workflow.`;
  const takers = lane.workers === 1 ? "the one worker that takes it is" : `the ${String(lane.workers)} workers that take it are`;
  return `${runs} ${since}: ${takers} busy with other runs, or more are needed.`;
}

/** The same for users who see only their own runs, and neither the queue nor workers. */
export function stillAmong(runs: readonly Pick<Run, "app_name" | "workflow_name" | "ready_at">[], pauses: readonly Paused[], now: Millis): Still[] {
  const wanted = runs.filter((run) => !isCovered(pauses, run.app_name, run.workflow_name));
  const due = wanted.flatMap(({ ready_at }) => (ready_at !== null && now - moment(ready_at) > BEHIND ? [moment(ready_at)] : []));
  if (due.length === 0) return [];
  const said = `${counted(due.length, "run")} of yours ${due.length === 1 ? "has" : "have"} been due for up to ${short(now - Math.min(...due))}: no worker has taken ${due.length === 1 ? "it" : "them"} up.`;
  return [{ said, cure: "ask for a worker", app: null, workflow: null }];
}
