import { describe, expect, it } from "vitest";
import { FOLDED_WIDTH, axisOf, marksOf, momentAt, xOf } from "./axis";
import { recording, recordings } from "./recordings";
import { MOST_CHILDREN, type Timeline, type TimelineSource, timelineOf } from "./timeline";

function source(name: string): TimelineSource & { now: number } {
  const { run, history, steps, children, documents, definition, now } = recording(name);
  return { run, rows: history, steps, children, documents, definition, now };
}

function timeline(name: string): Timeline {
  const { now, ...rest } = source(name);
  return timelineOf(rest, now);
}

const START = Date.parse("2026-01-05T00:00:00Z");

/** "Charge: failed 0-700, backoff 700-10700": seconds are easier to read, but lose the start. */
function told({ rows }: Timeline): string[] {
  return rows.map((row) => {
    const segments = row.segments.map((one) => `${one.kind} ${one.from - START}-${one.to - START}${one.open ? "…" : ""}`);
    return `${"  ".repeat(row.depth)}${row.label} (${row.note}): ${segments.join(", ")}`;
  });
}

describe("a timeline", () => {
  it("has a row for each visit and each step", () => {
    expect(told(timeline("happy"))).toEqual([
      "Charge (start → charged): work 0-1600",
      "  charge (step): work 0-1200",
      "  reserve (step): work 1200-1600",
      "Ship (charged → end): work 1600-4600",
    ]);
  });

  it("tells attempts, backing off, and the time until somebody retried", () => {
    expect(told(timeline("flaky"))[0]).toBe(
      "Charge (start → charged): failed 0-700, backoff 700-10700, failed 10700-11400, backoff 11400-31400, failed 31400-32100, stopped 32100-300700, work 300700-301400",
    );
  });

  it("tells waiting for a person from sleeping", () => {
    expect(told(timeline("review"))[1]).toBe("Decide (review → decided, answered by alice): person 0-10800000, work 10800000-10800050");
    expect(told(timeline("timer"))[1]).toBe("Remind (sleeping → end): sleep 200-21600200, work 21600200-21600200");
  });

  it("goes on until now where the run does", () => {
    expect(told(timeline("waiting"))[1]).toBe("Review (in review): person 0-10800000…");
    expect(told(timeline("delayed"))).toEqual(["Start (in start): sleep 0-600000…"]);
  });

  it("ends with a cancelled run, and with a failed one", () => {
    expect(told(timeline("canceled"))[1]).toBe("Review (in review): person 0-1200000, canceled 1200000-1200000");
    expect(timeline("failed").rows.at(-1)?.open).toBe(false);
  });

  it("shows a detour as visits of their own", () => {
    expect(told(timeline("careful"))).toEqual([
      "Prepare (start → ready): work 0-100",
      "Send (in ready): failed 100-600, backoff 600-30600",
      "Clean (cleaning → ready): work 30600-30800",
      "Send (ready → broken): failed 30800-31300",
      "Broken (in broken): person 31300-120600…",
    ]);
  });

  it("puts children under the transition that started them", () => {
    const rows = told(timeline("children"));
    expect(rows.slice(0, 4)).toEqual([
      "Begin (start → choosing): work 0-0",
      "Start next (choosing → packing): work 0-0",
      "  Parcel 1 (pack): work 0-600",
      "Packed (packing → choosing): runs 0-600, work 600-600",
    ]);
    expect(rows).toContain("  Parcel 3 (pack): failed 1300-2100");
  });

  it("folds many children of one visit to one row with counts", () => {
    const { now, ...rest } = source("children");
    const child = rest.children![0]!;
    const many = Array.from({ length: MOST_CHILDREN + 1 }, (_, n) => ({
      ...child,
      run: { ...child.run, workflow_id: String(n), status: n === 0 ? ("failed" as const) : ("completed" as const) },
    }));
    const rows = timelineOf({ ...rest, children: many }, now).rows.filter((row) => row.kind === "children");
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ label: "21 runs", counts: { failed: 1, completed: 20 }, segments: [{ kind: "failed" }] });
  });

  it("says that a window isn't the whole", () => {
    const { now, ...rest } = source("loop");
    const part = timelineOf({ ...rest, rows: rest.rows.slice(-200) }, now);
    expect(part.earlier).toBe(true);
    expect(timeline("loop").earlier).toBe(false);
    expect(part.rows).toHaveLength(200);
  });

  it("shows a running visit: what it waited for, and work until now", () => {
    const { now, ...rest } = source("waiting");
    const run = { ...rest.run, status: "running" as const, updated_at: new Date(now - 500).toISOString() };
    const last = timelineOf({ ...rest, run }, now).rows.at(-1)!;
    expect(last.segments.map((one) => [one.kind, one.to - one.from])).toEqual([
      ["person", 10_799_500],
      ["work", 500],
    ]);
  });

  it.each(recordings().map((one) => one.name))("of %s has segments in order, without overlap, within its bounds", (name) => {
    const { rows, from, to } = timeline(name);
    for (const row of rows) {
      let at = row.from;
      for (const one of row.segments) {
        expect(one.from).toBeGreaterThanOrEqual(at);
        expect(one.to).toBeGreaterThanOrEqual(one.from);
        at = one.to;
      }
      expect(row.from).toBeGreaterThanOrEqual(from);
      expect(row.to).toBeLessThanOrEqual(to);
    }
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
  });
});

describe("an axis", () => {
  const flaky = timeline("flaky");

  it("folds what is idle for long to a fixed width", () => {
    const axis = axisOf(flaky, 1000);
    const folded = axis.pieces.filter((piece) => piece.folded);
    expect(folded).toHaveLength(1);
    expect(folded[0]!.width).toBe(FOLDED_WIDTH);
    expect(axis.pieces.reduce((sum, piece) => sum + piece.width, 0)).toBeCloseTo(1000);
  });

  it("is even in real scale, and where all is work", () => {
    expect(axisOf(flaky, 1000, true).pieces).toHaveLength(1);
    expect(axisOf(timeline("happy"), 1000).pieces).toHaveLength(1);
  });

  it.each(recordings().map((one) => one.name))("of %s goes forward, and back again", (name) => {
    const { from, to, ...rest } = timeline(name);
    const axis = axisOf({ from, to, ...rest }, 800);
    let x = -1;
    for (let n = 0; n <= 50; n += 1) {
      const at = from + ((to - from) * n) / 50;
      expect(xOf(axis, at)).toBeGreaterThanOrEqual(x);
      x = xOf(axis, at);
      expect(Math.abs(momentAt(axis, x) - at)).toBeLessThanOrEqual(Math.max(1, (to - from) / 1e6));
    }
    expect(xOf(axis, to + 1e9)).toBe(800);
  });

  it("has marks at round moments, apart from each other", () => {
    const marks = marksOf(axisOf(timeline("happy"), 800));
    expect(marks.map((mark) => mark.text)).toEqual(["0", "500 ms", "1 s", "1.5 s", "2 s", "2.5 s", "3 s", "3.5 s", "4 s", "4.5 s"]);
    expect(marksOf(axisOf({ rows: [], from: 0, to: 0 }, 100))).toHaveLength(2);
  });
});

describe("steps with options", () => {
  const told_ = (step: object): unknown => {
    const given = source("happy");
    const [charge, ...rest] = given.steps ?? [];
    const { rows } = timelineOf({ ...given, steps: [{ ...charge, ...step } as never, ...rest] }, given.now);
    const row = rows.find((one) => one.label === "charge");
    return [row?.note, row?.attempts, row?.segments[0]?.kind];
  };

  it.each([
    [{ attempts: 3 }, ["step", 3, "work"]],
    [{ undo: "refund", undone_at: "2026-01-05T00:01:00Z" }, ["step, undone by refund", 1, "work"]],
    [{ status: "failed", error: "OSError: no answer" }, ["step that failed: OSError: no answer", 1, "failed"]],
    [{ status: "unknown" }, ["step with an unknown outcome", 1, "failed"]],
    [{ status: "started", finished_at: null }, ["step that may run only once, begun", 1, "work"]],
  ])("tells %j", (step, expected) => {
    expect(told_(step)).toEqual(expected);
  });
});
