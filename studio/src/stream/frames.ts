/** Parses the text of a stream into frames. */
import { createParser } from "eventsource-parser";
import type { CheckpointEvent } from "@/api/types";

export type Frame =
  | { kind: "hello"; id: string | null }
  | { kind: "checkpoint"; id: string | null; event: CheckpointEvent }
  | { kind: "end" }
  /** A comment: the connection is alive. */
  | { kind: "ping" }
  /** An event with an unknown name, or with invalid data. */
  | { kind: "unknown"; id: string | null; name: string; data: string };

/** Feed it the text as it comes; `heard` is called with each whole frame. */
export function frameReader(heard: (frame: Frame) => void): (text: string) => void {
  const parser = createParser({
    onEvent: ({ event, id, data }) => { heard(frameOf(event ?? "message", id ?? null, data)); },
    onComment: () => { heard({ kind: "ping" }); },
  });
  return (text) => { parser.feed(text); };
}

export function frameOf(name: string, id: string | null, data: string): Frame {
  if (name === "hello") return { kind: "hello", id };
  if (name === "end") return { kind: "end" };
  const event = name === "checkpoint" ? checkpointOf(data) : null;
  return event ? { kind: "checkpoint", id, event } : { kind: "unknown", id, name, data };
}

function checkpointOf(data: string): CheckpointEvent | null {
  try {
    const value = JSON.parse(data) as Partial<CheckpointEvent> | null;
    const whole = typeof value?.workflow_id === "string" && typeof value.checkpoint?.version === "number" && value.run;
    return whole ? (value as CheckpointEvent) : null;
  } catch {
    return null; // reported as unknown
  }
}
