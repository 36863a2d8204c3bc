/** The actions on a run: which are possible now for this person, and otherwise why not. */
import type { Me, Run, RunStatus as Status } from "../api/types";
import { STATUSES, type Verb } from "./status";

export interface Action {
  verb: Exclude<Verb, "answer"> | "update" | "delete";
  label: string;
  /** Why it isn't possible now; null: it is. */
  off: string | null;
  primary: boolean;
}

type Who = Pick<Me, "role">;

const LABELS: Record<Action["verb"], string> = {
  retry: "Retry",
  cancel: "Cancel",
  again: "Run again with these args",
  update: "Edit subject and labels",
  delete: "Delete",
};

/** All actions on a run, the primary one first. A disabled action stays in the list, with its reason. */
export function actionsOf(run: Pick<Run, "status" | "canceling">, me: Who): Action[] {
  const verbs = ["retry", "cancel", "again", "update", "delete"] as const;
  return verbs
    .map((verb) => ({ verb, label: labelOf(verb, run), off: offReason(verb, run.status, me), primary: primary(verb, run.status) }))
    .sort((a, b) => Number(b.primary) - Number(a.primary));
}

/** A run that is clearing up has been cancelled already: the only thing left is not to wait for that. */
function labelOf(verb: Action["verb"], run: Pick<Run, "canceling">): string {
  return verb === "cancel" && run.canceling ? "Cancel now" : LABELS[verb];
}

function primary(verb: Action["verb"], status: Status): boolean {
  if (status === "failed") return verb === "retry";
  if (status === "completed" || status === "canceled") return verb === "again";
  return verb === "cancel" && status !== "waiting";
}

/** Why the verb can't be used on a run of this status by this person; null if it can. */
export function offReason(verb: Action["verb"], status: Status, me: Who): string | null {
  if (me.role === "viewer") return "You may view runs, but acting on them needs the role operator.";
  if (verb === "update") return null;
  if (verb === "delete") return NO_DELETE[status];
  if ((STATUSES[status].verbs as readonly Verb[]).includes(verb)) return null;
  return verb === "retry" ? NO_RETRY[status] : verb === "cancel" ? NO_CANCEL[status] : null;
}

const GOES_ON = "It hasn't ended: cancel it first.";

const NO_DELETE: Record<Status, string | null> = {
  pending: GOES_ON,
  running: GOES_ON,
  waiting: GOES_ON,
  retrying: GOES_ON,
  failed: "It has failed, and can still be retried: cancel it first.",
  completed: null,
  canceled: null,
};

const NO_RETRY: Record<Status, string> = {
  pending: "It has not begun yet: there is nothing to retry.",
  running: "It is being executed: only a failed transition can be retried.",
  waiting: "It has not failed: it waits.",
  retrying: "It can be retried now.",
  completed: "It completed: run it again instead.",
  failed: "It can be retried now.",
  canceled: "It was cancelled for good: run it again instead.",
};

const NO_CANCEL: Record<Status, string> = {
  pending: "It can be cancelled.",
  running: "It can be cancelled.",
  waiting: "It can be cancelled.",
  retrying: "It can be cancelled.",
  failed: "It can be cancelled.",
  completed: "It has completed: there is nothing left to cancel.",
  canceled: "It has been cancelled already.",
};

// -- many runs at once ---------------------------------------------------------------------------------------------

export type BulkAction = "retry" | "cancel";

const DONE: Record<BulkAction, [string, string]> = {
  retry: ["Retry", "retried"],
  cancel: ["Cancel", "cancelled"],
};

/** Whether the bulk action can do something to a run of this status. */
export function eligible(action: BulkAction, status: Status): boolean {
  return (STATUSES[status].verbs as readonly Verb[]).includes(action);
}

/** The button's text: "Cancel 3 runs". */
export function bulkLabel(action: BulkAction, count: number, more = false): string {
  return `${DONE[action][0]} ${counted(count, "run", more)}`;
}

/** "3 of 5 runs can be cancelled; 2 can't: 2 completed." */
export function bulkSummary(
  action: BulkAction,
  preview: { matching: number; eligible: number; more: boolean; skipped: Record<string, number> },
): string {
  const able = `${number(preview.eligible)} of ${counted(preview.matching, "run", preview.more)} can be ${DONE[action][1]}`;
  const reasons = Object.entries(preview.skipped).filter(([, n]) => n > 0);
  if (reasons.length === 0) return `${able}.`;
  const left = reasons.reduce((sum, [, n]) => sum + n, 0);
  return `${able}; ${number(left)} can't: ${reasons.map(([why, n]) => `${number(n)} ${why}`).join(", ")}.`;
}

export function counted(count: number, noun: string, more = false): string {
  return `${number(count)}${more ? "+" : ""} ${noun}${count === 1 && !more ? "" : "s"}`;
}

const GROUPED = new Intl.NumberFormat("en-GB");

function number(count: number): string {
  return GROUPED.format(count);
}
