import { describe, expect, it } from "vitest";
import { MOST_ALIKE, folded } from "./folds";
import { recording, recordings } from "./recordings";
import { type Timeline, type TimelineRow, timelineOf } from "./timeline";

function timeline(name: string): Timeline {
  const { run, history, steps, children, documents, definition, now } = recording(name);
  return timelineOf({ run, rows: history, steps, children, documents, definition }, now);
}

const visit = (n: number, label = "Turn"): TimelineRow => ({
  ...(timeline("happy").rows[0] as TimelineRow),
  key: `visit-${String(n)}`,
  label,
  version: n,
  from: n * 1_000,
  to: n * 1_000 + 500,
  segments: [{ kind: "work", from: n * 1_000, to: n * 1_000 + 500, open: false, version: n, attempt: 1, error: null }],
});

function many(count: number): Timeline {
  const rows = [visit(0, "Begin"), ...Array.from({ length: count }, (_, n) => visit(n + 1)), visit(count + 1, "End")];
  return { rows, from: 0, to: (count + 2) * 1_000, earlier: false };
}

describe("what is alike in a timeline", () => {
  it("is one row, with how often and how long", () => {
    const rows = folded(many(198), new Set()).rows;
    expect(rows.map((row) => row.label)).toEqual(["Begin", "Turn ×198", "End"]);
    expect(rows[1]).toMatchObject({ kind: "visits", from: 1_000, to: 198_500, version: 198, spent: { work: 99_000 } });
    expect(rows[1]?.segments.length).toBeLessThanOrEqual(198);
  });

  it("is drawn with few bars, however many there are", () => {
    expect(folded(many(5_000), new Set()).rows[1]?.segments.length).toBeLessThan(500);
  });

  it("is unfolded when asked", () => {
    const key = folded(many(50), new Set()).rows[1]?.key as string;
    expect(folded(many(50), new Set([key])).rows).toHaveLength(52);
  });

  it("stays as it is where it is few", () => {
    expect(folded(many(MOST_ALIKE), new Set()).rows).toHaveLength(MOST_ALIKE + 2);
  });

  it.each(recordings().map((one) => one.name))("leaves the rest alone: %s", (name) => {
    const whole = timeline(name);
    const few = folded(whole, new Set());
    expect(few.rows.filter((row) => row.kind !== "visits")).toEqual(whole.rows.filter((row) => few.rows.includes(row)));
  });
});
