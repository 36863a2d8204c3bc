/**
 * The one table of statuses. Badges, bars, nodes, filters and legends read it; a status that the API adds and this
 * table lacks doesn't compile.
 */
import type { Run, RunStatus as Status } from "../api/types";

export type Shape =
  | "hollow-circle"
  | "ring"
  | "person"
  | "hourglass"
  | "arrow-circle"
  | "tick-circle"
  | "cross-octagon"
  | "slashed-circle";

/** Bars show the status by a pattern too, for people who can't see the colour. */
export type Pattern = "solid" | "outline" | "dots" | "line" | "hatch" | "cross-end";

export type Token = "queued" | "running" | "human" | "sleeping" | "backoff" | "completed" | "failed" | "canceled";

export type Verb = "answer" | "cancel" | "retry" | "again";

export interface StatusRow {
  /** What people read. */
  word: string;
  shape: Shape;
  pattern: Pattern;
  /** The name of its colour: `--status-<token>`. */
  token: Token;
  /** The order in lists of statuses: those that need people come first. */
  order: number;
  /** True if only a person can change it. */
  terminal: boolean;
  /** The possible actions on such a run. */
  verbs: readonly Verb[];
  /** One sentence for legends and help. */
  meaning: string;
}

export const STATUSES = {
  failed: {
    word: "Failed",
    shape: "cross-octagon",
    pattern: "cross-end",
    token: "failed",
    order: 1,
    terminal: true,
    verbs: ["retry", "cancel", "again"],
    meaning: "It stopped at its place with an error and can be retried.",
  },
  waiting: {
    word: "Waiting",
    shape: "person",
    pattern: "dots",
    token: "human",
    order: 2,
    terminal: false,
    verbs: ["answer", "cancel", "again"],
    meaning: "It waits for an answer, a time or an event.",
  },
  retrying: {
    word: "Retrying",
    shape: "arrow-circle",
    pattern: "hatch",
    token: "backoff",
    order: 3,
    terminal: false,
    verbs: ["retry", "cancel", "again"],
    meaning: "An attempt failed; the next one starts by itself.",
  },
  running: {
    word: "Running",
    shape: "ring",
    pattern: "solid",
    token: "running",
    order: 4,
    terminal: false,
    verbs: ["cancel", "again"],
    meaning: "A worker executes it.",
  },
  pending: {
    word: "Queued",
    shape: "hollow-circle",
    pattern: "outline",
    token: "queued",
    order: 5,
    terminal: false,
    verbs: ["cancel", "again"],
    meaning: "It has not begun: it waits for its time or for a worker.",
  },
  completed: {
    word: "Completed",
    shape: "tick-circle",
    pattern: "solid",
    token: "completed",
    order: 6,
    terminal: true,
    verbs: ["again"],
    meaning: "It reached its end.",
  },
  canceled: {
    word: "Cancelled",
    shape: "slashed-circle",
    pattern: "cross-end",
    token: "canceled",
    order: 7,
    terminal: true,
    verbs: ["again"],
    meaning: "A person or a program stopped it for good.",
  },
} as const satisfies Record<Status, StatusRow>;

export const STATUS_NAMES = (Object.keys(STATUSES) as Status[]).sort(
  (a, b) => STATUSES[a].order - STATUSES[b].order,
);

/** How a status is shown: a run that waits may need a person, or only time. */
export type Look = Status | "sleeping";

export const LOOKS = {
  ...STATUSES,
  sleeping: {
    word: "Sleeping",
    shape: "hourglass",
    pattern: "line",
    token: "sleeping",
    order: 4.5,
    terminal: false,
    verbs: ["cancel", "again"],
    meaning: "It waits for a time, an event or another run: no answer is needed.",
  },
} as const satisfies Record<Look, StatusRow>;

export function isStatus(text: unknown): text is Status {
  return typeof text === "string" && Object.hasOwn(STATUSES, text);
}

/** The status of this name, or of the word that people read for it: "queued" is pending. Undefined if there is none. */
export function statusCalled(text: string): Status | undefined {
  const said = text.toLowerCase();
  return STATUS_NAMES.find((one) => one === said || STATUSES[one].word.toLowerCase() === said);
}

/** `answerable`: names of the transitions that a person may answer; by default all that the run waits for. */
export function lookOf(run: Pick<Run, "status" | "waiting_for">, answerable?: readonly string[]): Look {
  if (run.status !== "waiting") return run.status;
  return (answerable ?? run.waiting_for).length > 0 ? "waiting" : "sleeping";
}

/** True for completed and cancelled: nothing follows. A failed run can be retried. */
export function isFinished(status: Status): boolean {
  return status === "completed" || status === "canceled";
}

/** When a run ended or failed (a failed one can still be retried); null: it is still going on. */
export function endedAt(run: Pick<Run, "status" | "updated_at" | "finished_at">): string | null {
  return run.finished_at ?? (run.status === "failed" ? run.updated_at : null);
}

/** True while a refetch may show something new although no event came (a claim writes no history). */
export function isMoving(status: Status): boolean {
  return status === "pending" || status === "running" || status === "retrying";
}
