/** Which runs that wait ask a person, by the list of questions: a run that only its children go on with is in none. */
import type { Page, Run, Waiting } from "../api/types";
import type { Millis } from "./time";
import { moment } from "./time";

type Asking = Pick<Run, "workflow_id" | "status" | "updated_at">;

/**
 * The transitions of the run that a person may answer; undefined where the list, read at `readAt` and newest first,
 * doesn't tell: its pages so far end before the run, or the run changed since.
 */
export function answerableIn(pages: readonly Page<Waiting>[], readAt: Millis, run: Asking): readonly string[] | undefined {
  if (run.status !== "waiting") return undefined;
  const items = pages.flatMap((page) => page.items);
  const found = items.find((one) => one.run.workflow_id === run.workflow_id);
  if (found) return found.asks.map((ask) => ask.transition);
  const last = pages.at(-1);
  const oldest = items.at(-1)?.run.workflow_id;
  const reaches = last !== undefined && (last.next_cursor === null || (oldest !== undefined && run.workflow_id > oldest));
  return reaches && moment(run.updated_at) <= readAt ? [] : undefined;
}
