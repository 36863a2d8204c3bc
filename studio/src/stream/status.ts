/** The status of the live stream, for the header of the page. */
import type { State } from "./phases";

export interface LiveStatus {
  state: "connecting" | "live" | "reconnecting" | "paused" | "ended" | "refused";
  /** When something was heard last. */
  heardAt: number | null;
  /** The HTTP status that refused it, or failed last; null: no answer. */
  status: number | null;
}

export const NOT_YET: LiveStatus = { state: "connecting", heardAt: null, status: null };

export function statusOf({ phase, heardAt, status }: State): LiveStatus {
  return { state: nameOf(phase, heardAt), heardAt, status };
}

function nameOf(phase: State["phase"], heardAt: number | null): LiveStatus["state"] {
  if (phase === "waiting") return "reconnecting";
  if (phase === "connecting") return heardAt === null ? "connecting" : "reconnecting";
  return phase;
}

/** "Live", "Reconnecting (last data 12 s ago)": the stream never stops unnoticed. */
export function statusText(live: LiveStatus, now: number): string {
  const last = live.heardAt === null ? "" : ` (last data ${String(Math.max(0, Math.round((now - live.heardAt) / 1000)))} s ago)`;
  switch (live.state) {
    case "live":
      return "Live";
    case "connecting":
      return "Connecting";
    case "reconnecting":
      return `Reconnecting${last}`;
    case "paused":
      return `Paused${last}`;
    case "ended":
      return "Ended";
    case "refused":
      return live.status === 401 ? "Signed out" : "Not live: the server refused the stream";
  }
}
