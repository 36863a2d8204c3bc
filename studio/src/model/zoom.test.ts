import { describe, expect, it } from "vitest";
import { axisOf, momentAt, xOf } from "./axis";
import { recording, recordings } from "./recordings";
import { type Timeline, timelineOf } from "./timeline";
import { attemptOf, attemptsOf, between, loadOf, panned, rangeOf, rangeText, sideOf, wholeOf, within, zoomed } from "./zoom";

const WIDTH = 600;

function timeline(name: string): Timeline {
  const { run, history, steps, children, documents, definition, now } = recording(name);
  return timelineOf({ run, rows: history, steps, children, documents, definition }, now);
}

describe("a range in the address", () => {
  it("is read as it was written", () => {
    expect(rangeText({ from: 1_200, to: 3_400.4 }, 1_000)).toBe("200-2400");
    expect(rangeOf("200-2400", 1_000)).toEqual({ from: 1_200, to: 3_400 });
    expect(rangeOf("-5-2400", 1_000)).toEqual({ from: 995, to: 3_400 });
    expect(rangeText(null, 0)).toBeUndefined();
  });

  it("is none if it says nothing that can be shown", () => {
    for (const text of [undefined, "", "1", "a-b", "5-5", "9-3", "1e9-2e9", "1-2-3"]) expect(rangeOf(text, 0)).toBeNull();
  });
});

describe("what is looked at", () => {
  const whole = { from: 0, to: 100 };

  it("lies within the whole, and isn't all of it", () => {
    expect(within({ from: -10, to: 50 }, whole)).toEqual({ from: 0, to: 50 });
    expect(within({ from: -10, to: 110 }, whole)).toBeNull();
    expect(within({ from: 200, to: 210 }, whole)).toBeNull();
    expect(within(null, whole)).toBeNull();
  });

  it.each(recordings().map((one) => one.name))("zooms in around a moment, moves, and comes out again: %s", (name) => {
    const overview = axisOf(timeline(name), WIDTH);
    const all = wholeOf(overview);
    let range = all;
    for (let n = 0; n < 40; n += 1) {
      const at = momentAt(overview, xOf(overview, range.from) * 0.6 + xOf(overview, range.to) * 0.4);
      const next = zoomed(overview, range, 0.7, at);
      if (!next) break;
      expect(next.from).toBeGreaterThanOrEqual(all.from);
      expect(next.to).toBeLessThanOrEqual(all.to + 2);
      expect(next.to - next.from).toBeLessThanOrEqual(range.to - range.from + 2);
      range = next;
    }
    for (const share of [0.25, -0.25, 5, -5]) {
      const moved = panned(overview, range, share);
      if (moved) expect(moved.from).toBeGreaterThanOrEqual(all.from);
    }
    let out: typeof range | null = range;
    for (let n = 0; n < 100 && out; n += 1) out = zoomed(overview, out, 1 / 0.7, momentAt(overview, (xOf(overview, out.from) + xOf(overview, out.to)) / 2));
    expect(out).toBeNull();
  });

  it("goes from pixel to pixel, in either order", () => {
    const overview = axisOf({ rows: [], from: 0, to: 600 }, WIDTH);
    expect(between(overview, 400, 100)).toEqual({ from: 100, to: 400 });
    expect(between(overview, -50, 700)).toBeNull();
  });

  it("leaves out what lies before and after", () => {
    const range = { from: 10, to: 20 };
    expect(sideOf({ from: 0, to: 9 }, range)).toBe("before");
    expect(sideOf({ from: 0, to: 10 }, range)).toBe("within");
    expect(sideOf({ from: 21, to: 22 }, range)).toBe("after");
  });
});

describe("the overview", () => {
  it("shows when something worked and when it failed", () => {
    const flaky = timeline("flaky");
    const load = loadOf(flaky, axisOf(flaky, WIDTH), 100);
    expect(load).toHaveLength(100);
    expect(Math.max(...load.map((bin) => bin.load))).toBe(1);
    expect(load.some((bin) => bin.failed)).toBe(true);
    expect(load.some((bin) => bin.load === 0)).toBe(true);
  });
});

describe("one attempt", () => {
  it("takes the time of its own work only", () => {
    const flaky = timeline("flaky");
    expect(attemptsOf(flaky)).toBeGreaterThan(2);
    const second = attemptOf(flaky, 2);
    expect(second.rows.map((row) => row.segments.map((one) => one.kind))).toEqual([["failed"]]);
    expect(second.to - second.from).toBe(700);
  });

  it("is empty where nothing came to it", () => {
    expect(attemptOf(timeline("happy"), 2).rows).toEqual([]);
    expect(attemptsOf(timeline("happy"))).toBe(1);
  });

  it("keeps the steps of its visits", () => {
    expect(attemptOf(timeline("happy"), 1).rows.map((row) => row.label)).toEqual(["Charge", "charge", "reserve", "Ship"]);
  });
});
