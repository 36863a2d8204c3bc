import { describe, expect, it } from "vitest";
import type { Queue } from "@/api/types";
import { stillAmong, stillIn } from "./still";

const now = Date.parse("2026-11-25T21:20:00Z");
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const queue = (...lanes: [name: string, ready: number, seconds: number, workers: number][]) =>
  ({ ready: 0, capped_at: 1000, lanes: lanes.map(([workflow_name, ready, seconds, workers]) => ({ app_name: "shop", workflow_name, ready, oldest_at: ago(seconds), workers })) }) as unknown as Queue;

const run = (seconds: number | null) => ({ app_name: "shop", workflow_name: "alone", ready_at: seconds === null ? null : ago(seconds) });

describe("runs that stand still although due", () => {
  it("are those that nobody takes, and those that wait long behind others; the longest first", () => {
    const found = stillIn(queue(["fine", 3, 20, 1], ["busy", 1000, 120, 2], ["alone", 1, 3600, 0], ["just now", 1, 2, 0]), now);
    expect(found.map((one) => one.said)).toEqual([
      "1 run of alone has been due for up to 1 h: no live worker takes this workflow.",
      "1,000+ runs of busy have been due for up to 2 min: the 2 workers that take it are busy with other runs, or more are needed.",
    ]);
    expect(found.map((one) => one.cure)).toEqual(["start a worker", "look at the workers"]);
  });

  it("are known of one's own runs by when they were due", () => {
    expect(stillAmong([run(300), run(90), run(5), run(null)], [], now)[0]?.said).toBe("2 runs of yours have been due for up to 5 min: no worker has taken them up.");
    expect(stillAmong([run(5)], [], now)).toEqual([]);
  });

  it("aren't those that are paused: that is told in its own place", () => {
    const both = queue(["alone", 1, 3600, 0], ["busy", 1, 120, 1]);
    const lanes = both.lanes.map((lane) => ({ ...lane, paused: lane.workflow_name === "alone" }));
    expect(stillIn({ ...both, lanes }, now).map((one) => one.workflow)).toEqual(["busy"]);
    expect(stillAmong([run(300)], [{ app_name: "shop", workflow: null }], now)).toEqual([]);
  });
});
