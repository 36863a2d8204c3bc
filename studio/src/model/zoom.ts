/**
 * The part of a timeline that is zoomed in on. Ranges are moved and scaled in the pixels of the overview, the axis of
 * the whole: folded stretches take little room there, so one step leads to the next activity, not through an idle night.
 */
import { type Axis, momentAt, xOf } from "./axis";
import type { Millis } from "./time";
import type { Segment, Timeline, TimelineRow } from "./timeline";

export interface Range {
  from: Millis;
  to: Millis;
}

/** The smallest range. */
const LEAST: Millis = 2;

/** The range in the address: milliseconds since the run began, "1200-3400". */
export function rangeText(range: Range | null, began: Millis): string | undefined {
  return range ? `${String(Math.round(range.from - began))}-${String(Math.round(range.to - began))}` : undefined;
}

/** null if the text isn't a range. */
export function rangeOf(text: string | undefined, began: Millis): Range | null {
  const found = /^(-?\d{1,15})-(\d{1,15})$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]) + began, Number(found[2]) + began];
  return to - from >= LEAST ? { from, to } : null;
}

/** The range, limited to the timeline; null if it shows all of it, or nothing. */
export function within(range: Range | null, whole: Range): Range | null {
  if (!range || range.to <= whole.from || range.from >= whole.to) return null;
  const [from, to] = [Math.max(range.from, whole.from), Math.min(range.to, whole.to)];
  if (from <= whole.from && to >= whole.to) return null;
  return to - from < LEAST ? { from, to: from + LEAST } : { from, to };
}

/** A `factor` below 1 shows less, one above 1 more; `at` keeps its position. */
export function zoomed(overview: Axis, range: Range, factor: number, at: Millis): Range | null {
  const [a, b, c] = [xOf(overview, range.from), xOf(overview, range.to), xOf(overview, at)];
  // The middle piece of an axis is even: below a pixel the moments themselves are scaled.
  if (b - a < 1) return within(scaled(range, factor, at), wholeOf(overview));
  return between(overview, c - (c - a) * factor, c + (b - c) * factor);
}

function scaled({ from, to }: Range, factor: number, at: Millis): Range {
  return { from: at - (at - from) * factor, to: at + (to - at) * factor };
}

/** Moved by a fraction of its own length; it stops at the ends. */
export function panned(overview: Axis, range: Range, share: number): Range | null {
  const [a, b] = [xOf(overview, range.from), xOf(overview, range.to)];
  const by = Math.min(overview.width - b, Math.max(-a, (b - a) * share));
  if (b - a >= 1) return between(overview, a + by, b + by);
  const whole = wholeOf(overview);
  const step = Math.min(whole.to - range.to, Math.max(whole.from - range.from, (range.to - range.from) * share));
  return within({ from: range.from + step, to: range.to + step }, whole);
}

/** From one pixel of the overview to another, in either order. */
export function between(overview: Axis, one: number, other: number): Range | null {
  const [a, b] = [Math.max(0, Math.min(one, other)), Math.min(overview.width, Math.max(one, other))];
  if (a < 0.5 && b > overview.width - 0.5) return null;
  return within({ from: momentAt(overview, a), to: momentAt(overview, b) }, wholeOf(overview));
}

export function wholeOf(axis: Axis): Range {
  return { from: axis.pieces[0]?.from ?? 0, to: axis.pieces.at(-1)?.to ?? 0 };
}

/** The activity in each of `bins` equal parts of the axis, from 0 to 1, and whether something failed in it. */
export function loadOf({ rows }: Pick<Timeline, "rows">, axis: Axis, bins: number): { load: number; failed: boolean }[] {
  const counts = Array.from({ length: bins }, () => ({ load: 0, failed: false }));
  for (const segment of rows.flatMap((row) => row.segments)) {
    if (!works(segment)) continue;
    const first = binOf(axis, segment.from, bins);
    const last = Math.max(first, binOf(axis, segment.to, bins));
    for (const bin of counts.slice(first, last + 1)) {
      bin.load += 1;
      bin.failed ||= segment.kind === "failed";
    }
  }
  const most = Math.max(1, ...counts.map((bin) => bin.load));
  return counts.map((bin) => ({ ...bin, load: bin.load / most }));
}

function binOf(axis: Axis, at: Millis, bins: number): number {
  return Math.min(bins - 1, Math.floor((xOf(axis, at) / Math.max(1, axis.width)) * bins));
}

function works({ kind }: Segment): boolean {
  return kind === "work" || kind === "failed" || kind === "canceled";
}

/** On which side of the range a row lies that isn't visible in it. */
export function sideOf(row: Pick<TimelineRow, "from" | "to">, range: Range): "before" | "within" | "after" {
  if (row.to < range.from) return "before";
  return row.from > range.to ? "after" : "within";
}

// -- attempts ------------------------------------------------------------------------------------------------------

/** The highest number of an attempt in it. */
export function attemptsOf({ rows }: Pick<Timeline, "rows">): number {
  return rows.flatMap((row) => row.segments).reduce((most, one) => Math.max(most, one.attempt ?? 1), 1);
}

/** Only this attempt of each visit; the time begins and ends with them. Empty if no visit has had that attempt. */
export function attemptOf(timeline: Timeline, attempt: number): Timeline {
  const rows: TimelineRow[] = [];
  let kept: readonly Segment[] = [];
  for (const row of timeline.rows) {
    if (row.kind === "visit") {
      kept = row.segments.filter((one) => one.attempt === attempt);
      if (kept.length > 0) rows.push({ ...row, segments: kept, from: Math.min(...kept.map(from)), to: Math.max(...kept.map(to)) });
    } else if (kept.some((one) => row.from >= one.from && row.from <= one.to)) rows.push(row);
  }
  return { ...timeline, rows, from: Math.min(...rows.map(from)), to: Math.max(...rows.map(to)) };
}

const from = (one: Range): Millis => one.from;
const to = (one: Range): Millis => one.to;
