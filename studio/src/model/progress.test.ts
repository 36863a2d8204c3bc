import { describe, expect, test } from "vitest";
import type { Progress } from "../api/types";
import { countsText, endedText, leftText, openText, rateText } from "./progress";

const AT = "2026-11-30T12:00:00Z";
const NOW = Date.parse(AT) + 60_000;
const progress = (more: Partial<Progress> = {}): Progress => ({
  group_id: "g",
  total: 1_200,
  held: 700,
  pending: 50,
  running: 20,
  waiting: 0,
  retrying: 0,
  completed: 400,
  failed: 20,
  canceled: 10,
  started_at: AT,
  finished_at: null,
  rate: 7.16,
  eta: null,
  ...more,
});

describe("how far many runs are", () => {
  test("what has ended is what completed, failed or was cancelled", () => {
    expect(endedText(progress())).toBe("430 of 1,200 ended");
    expect(openText(progress())).toBe("770 runs");
    expect(openText(progress({ total: 431 }))).toBe("1 run");
  });

  test("counts of nothing are left out", () => {
    expect(countsText(progress())).toBe("400 completed, 20 failed, 10 cancelled, 20 running, 50 queued, 700 held back");
    const none = { held: 0, pending: 0, running: 0, completed: 0, failed: 0, canceled: 0, total: 0 };
    expect(countsText(progress(none))).toBe("no runs");
  });

  test("a slow rate is told by the minute, and none as none", () => {
    expect(rateText({ rate: 7.16 })).toBe("7.2 per second");
    expect(rateText({ rate: 0.5 })).toBe("30 per minute");
    expect(rateText({ rate: 0.001 })).toBe("1 per minute");
    expect(rateText({ rate: 0 })).toBe("none in the last minute");
  });

  test("the time left is that until the eta; what has ended says how long it took", () => {
    expect(leftText(progress({ eta: "2026-11-30T12:04:20.400Z" }), NOW)).toBe("about 3 min 20 s");
    expect(leftText(progress({ eta: AT }), NOW)).toBe("about a second");
    expect(leftText(progress(), NOW)).toBe("not known yet");
    expect(leftText(progress({ finished_at: "2026-11-30T12:02:00Z" }), NOW)).toBe("none: it took 2 min");
  });
});
