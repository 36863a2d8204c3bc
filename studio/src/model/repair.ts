/** What of a failed run can be repaired, and why not. */
import type { Checkpoint, Me, Run, WorkflowDetail } from "@/api/types";
import { LOOKS } from "./status";

interface Failed {
  run: Pick<Run, "status">;
  /** The newest rows of the history. */
  rows: readonly Pick<Checkpoint, "status" | "signal_id">[];
  definition: Pick<WorkflowDetail, "state"> | null;
}

/** True while a retry, and so a repair, is possible. */
export function stillRepairable(run: Pick<Run, "status">): boolean {
  return run.status === "failed" || run.status === "retrying";
}

/** Why this part can't be edited for a retry by this person; null if it can. */
export function repairOff(part: "data" | "state", { rows, definition }: Failed, me: Pick<Me, "role">): string | null {
  if (me.role === "viewer") return "You may view runs, but acting on them needs the role operator.";
  if (part === "data") {
    const failed = rows.findLast((row) => row.status === "failed");
    return failed && failed.signal_id === null ? "The transition that failed took no answer." : null;
  }
  if (definition === null) return "The code of this workflow isn't known here.";
  return definition.state.type === "null" ? "This workflow has no state." : null;
}

/** Why a form that was opened can no longer be sent; null while it can. */
export function repairLock(run: Pick<Run, "status">): string | null {
  if (stillRepairable(run)) return null;
  return `The run has gone on meanwhile, and isn't failed any more (it is ${LOOKS[run.status].word.toLowerCase()}). What you typed is kept here.`;
}

interface Refusal {
  title: string;
  detail: string;
  errors?: readonly unknown[];
}

/** Why a repair was refused, beyond the faults that the form shows at their fields; empty if there is nothing to say. */
export function refusalOf(error: Refusal | Error | null): string {
  if (error === null) return "";
  if (error instanceof Error) return error.message;
  if (error.errors && error.errors.length > 0) return "";
  return error.detail ? `${error.title}: ${error.detail}` : error.title;
}
