import { describe, expect, it } from "vitest";
import type { ScheduleDetail } from "@/api/types";
import { changeOf, draftOf, faultOf, requestOf } from "./draft";

const ME = { user_id: "ada" };
const MADE = {
  app_name: "shop/north", name: "weekly", workflow: "report", user_id: "ada", declared: false, args: { day: "monday" },
  cron: null, every: 5400, at: null, timezone: null, overlap: "queue", misfire: "all", catch_up: 86_400, jitter: 0.5, paused: false,
} as ScheduleDetail;

describe("the form of a schedule", () => {
  it("shows times in the largest unit of which they are whole numbers", () => {
    const { every, catchUp, jitter } = draftOf(ME, MADE);
    expect([every, catchUp, jitter]).toEqual([{ count: "90", unit: "minutes" }, { count: "1", unit: "days" }, { count: "0.5", unit: "seconds" }]);
  });

  it("sends all that a new schedule is made of", () => {
    expect(requestOf({ ...draftOf(ME, MADE), user: "otto", paused: true }, ME)).toEqual({
      name: "weekly", app_name: "shop/north", workflow: "report", user_id: "otto", args: { day: "monday" },
      every: 5400, paused: true, overlap: "queue", misfire: "all", catch_up: 86_400, jitter: 0.5,
    });
  });

  it("sends what has changed, and nothing else: a rule that is sent counts from now", () => {
    const before = draftOf(ME, MADE);
    expect(changeOf(before, before)).toEqual({});
    expect(changeOf({ ...before, workflow: "shop/north/other" }, before)).toEqual({ workflow: "other" });
    expect(changeOf({ ...before, every: { count: "1.5", unit: "hours" } }, before)).toEqual({});
    expect(changeOf({ ...before, jitter: { count: "", unit: "seconds" } }, before)).toEqual({ jitter: 0 });
    expect(changeOf({ ...before, catchUp: { count: "2", unit: "hours" } }, before)).toEqual({ catch_up: 7200 });
    expect(changeOf({ ...before, misfire: "skip" }, before)).toEqual({ misfire: "skip" });
    expect(changeOf({ ...before, overlap: "allow" }, before)).toEqual({ overlap: "allow" });
  });

  it("says what can't be sent", () => {
    const draft = draftOf(ME, MADE);
    expect(faultOf(draft)).toBeNull();
    expect(faultOf({ ...draft, every: { count: "0", unit: "hours" } })).toBe("Say how often.");
    expect(faultOf({ ...draft, catchUp: { count: "", unit: "hours" } })).toBe("Say how late a tick may be.");
    expect(faultOf({ ...draft, catchUp: { count: "", unit: "hours" }, misfire: "skip" })).toBeNull();
    expect(faultOf({ ...draft, jitter: { count: "x", unit: "hours" } })).toBe("The time to spread ticks over is a number, or empty.");
  });
});
