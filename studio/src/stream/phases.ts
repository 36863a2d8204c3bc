/**
 * The next action of a connection, as a pure function of its state and an event. The shell (connection.ts) opens, closes
 * and waits; every rule is here.
 *
 * Closed by the server or lost: reconnect at once, then with growing delays. Refused (401, 403, 404, or another permanent 4xx):
 * never reconnect automatically. Hidden for a minute: closed, and reopened from the last id when the page is visible again.
 */
import { backoff } from "./backoff";

export type Phase = "connecting" | "live" | "waiting" | "paused" | "ended" | "refused";

export interface State {
  phase: Phase;
  /** Goes on after this one. */
  lastId: string | null;
  /** Consecutive failures. */
  failures: number;
  /** When the last data arrived, pings included. */
  heardAt: number | null;
  /** Why it was refused, or last failed. */
  status: number | null;
}

export type Happening =
  | { kind: "start" }
  | { kind: "opened"; now: number }
  | { kind: "heard"; id: string | null; now: number }
  | { kind: "end" }
  /** The server closed it, as it does from time to time. */
  | { kind: "closed" }
  /** `status` null: no answer at all. */
  | { kind: "failed"; status: number | null; retryAfter?: number | null }
  | { kind: "waited" }
  | { kind: "silent" }
  | { kind: "hidden" }
  | { kind: "shown" };

export type Effect = { kind: "none" } | { kind: "open" } | { kind: "close" } | { kind: "wait"; delay: number };

/** After this long without a ping (they come each 15 s) the connection is dead, whatever TCP says. */
export const SILENT_AFTER = 45_000;
/** A hidden page keeps its stream this long. */
export const HIDDEN_FOR = 60_000;

export const BEGINNING: State = { phase: "paused", lastId: null, failures: 0, heardAt: null, status: null };

export function next(state: State, what: Happening, random: () => number): [State, Effect] {
  if (state.phase === "ended" || (state.phase === "refused" && what.kind !== "start")) return [state, { kind: "none" }];
  switch (what.kind) {
    case "start":
    case "shown":
      return state.phase === "live" || state.phase === "connecting"
        ? [state, { kind: "none" }]
        : [{ ...state, phase: "connecting", failures: 0, status: null }, { kind: "open" }];
    case "opened":
      return state.phase === "connecting"
        ? [{ ...state, phase: "live", heardAt: what.now, status: null }, { kind: "none" }]
        : [state, { kind: "none" }];
    case "heard":
      return state.phase === "live"
        ? [{ ...state, failures: 0, heardAt: what.now, lastId: what.id ?? state.lastId }, { kind: "none" }]
        : [state, { kind: "none" }];
    case "end":
      return [{ ...state, phase: "ended" }, { kind: "close" }];
    case "closed":
      return state.phase === "live" ? lost(state, null, null, random, true) : lost(state, null, null, random);
    case "silent":
      return lost(state, null, null, random, true);
    case "failed":
      return refusal(what.status)
        ? [{ ...state, phase: "refused", status: what.status }, { kind: "close" }]
        : lost(state, what.status, what.retryAfter ?? null, random);
    case "waited":
      return state.phase === "waiting" ? [{ ...state, phase: "connecting" }, { kind: "open" }] : [state, { kind: "none" }];
    case "hidden":
      return [{ ...state, phase: "paused" }, { kind: "close" }];
  }
}

/** Answers that a retry won't change. */
function refusal(status: number | null): boolean {
  return status !== null && status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
}

function lost(
  state: State,
  status: number | null,
  retryAfter: number | null,
  random: () => number,
  worked = false,
): [State, Effect] {
  if (state.phase === "paused") return [state, { kind: "none" }];
  // A connection that received data and then broke is retried soon; the counter grows while no data arrives.
  const failures = worked && state.failures === 0 ? 1 : state.failures + 1;
  const delay = Math.max(retryAfter ?? 0, backoff(failures, random));
  return [{ ...state, phase: "waiting", failures, status }, { kind: "wait", delay }];
}
