import { duration } from "@/model/time";
import type { Segment, SegmentKind, TimelineRow } from "@/model/timeline";
import type { StatusToken } from "@/ui/StatusShape";

/** The names of bars, and their appearance. */
export const KINDS: Record<SegmentKind, { word: string; token: StatusToken; pattern: string }> = {
  work: { word: "working", token: "running", pattern: "timeline-solid" },
  queued: { word: "queued", token: "queued", pattern: "timeline-outline" },
  failed: { word: "failed attempt", token: "failed", pattern: "timeline-cross" },
  canceled: { word: "cancelled", token: "canceled", pattern: "timeline-cross" },
  backoff: { word: "backing off", token: "backoff", pattern: "timeline-hatch" },
  stopped: { word: "stopped until it was retried", token: "failed", pattern: "timeline-line" },
  person: { word: "waiting for a person", token: "human", pattern: "timeline-dots" },
  runs: { word: "waiting for runs that it started", token: "sleeping", pattern: "timeline-line" },
  event: { word: "waiting for an event", token: "sleeping", pattern: "timeline-line" },
  sleep: { word: "sleeping", token: "sleeping", pattern: "timeline-line" },
  void: { word: "not used", token: "canceled", pattern: "timeline-cross" },
};

export const KIND_NAMES = Object.keys(KINDS) as SegmentKind[];

export function segmentText(segment: Segment): string {
  const attempt = segment.attempt === null ? "" : `, attempt ${String(segment.attempt)}`;
  return `${KINDS[segment.kind].word} for ${duration(segment.to - segment.from)}${attempt}${segment.open ? " so far" : ""}${segment.error ? `: ${segment.error}` : ""}`;
}

export function title(row: TimelineRow): string {
  return `${row.label}, ${row.note}: ${spentText(row)}`;
}

export function spentText(row: TimelineRow): string {
  if (row.spent) return KIND_NAMES.filter((kind) => row.spent?.[kind] !== undefined).map((kind) => `${KINDS[kind].word} for ${duration(row.spent?.[kind] ?? 0)} together`).join("; ");
  return row.segments.map(segmentText).join("; ") || "no time";
}
