/** Many visits of the same kind in a row, of a loop, as one row of a timeline. */
import type { Millis } from "./time";
import type { Segment, SegmentKind, Timeline, TimelineRow } from "./timeline";

/** More consecutive similar visits than this share one row. */
export const MOST_ALIKE = 20;
/** Gaps smaller than this share of the row aren't drawn. */
const FINE = 1 / 400;

/** The timeline with similar visits in one row each, except for those whose keys are in `open`. */
export function folded(timeline: Timeline, open: ReadonlySet<string>): Timeline {
  const rows: TimelineRow[] = [];
  let alike: TimelineRow[] = [];
  const end = () => {
    const key = alike[0] ? keyOf(alike[0]) : "";
    if (alike.length <= MOST_ALIKE || open.has(key)) rows.push(...alike);
    else rows.push(foldOf(key, alike));
    alike = [];
  };
  for (const row of timeline.rows) {
    if (row.kind !== "visit" || (alike[0] && !isAlike(alike[0], row))) end();
    if (row.kind === "visit") alike.push(row);
    else rows.push(row);
  }
  end();
  return { ...timeline, rows };
}

function keyOf(row: TimelineRow): string {
  return `alike-${row.key}`;
}

function isAlike(one: TimelineRow, other: TimelineRow): boolean {
  return one.label === other.label && one.note === other.note;
}

function foldOf(key: string, visits: readonly TimelineRow[]): TimelineRow {
  const [first, last] = [visits[0] as TimelineRow, visits.at(-1) as TimelineRow];
  const segments = visits.flatMap((row) => row.segments);
  const to = Math.max(...visits.map((row) => row.to));
  return {
    ...first,
    key,
    kind: "visits",
    label: `${first.label} ×${String(visits.length)}`,
    segments: joined(segments, (to - first.from) * FINE),
    to,
    open: last.open,
    version: last.version,
    attempts: visits.length,
    spent: spentOf(segments),
  };
}

/** Merges segments that would look the same: one that closely follows a similar one is joined to it. */
function joined(segments: readonly Segment[], least: Millis): Segment[] {
  const result: Segment[] = [];
  for (const one of segments) {
    const before = result.at(-1);
    if (before?.kind === one.kind && one.from - before.to <= least) result[result.length - 1] = { ...one, from: before.from };
    else result.push(one);
  }
  return result;
}

function spentOf(segments: readonly Segment[]): Partial<Record<SegmentKind, Millis>> {
  const spent: Partial<Record<SegmentKind, Millis>> = {};
  for (const { kind, from, to } of segments) spent[kind] = (spent[kind] ?? 0) + to - from;
  return spent;
}
