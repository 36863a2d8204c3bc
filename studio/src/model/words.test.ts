import { describe, expect, it } from "vitest";
import type { Me, Run, RunStatus } from "@/api/types";
import { actionsOf, bulkLabel, bulkSummary, counted, eligible, offReason } from "./actions";
import { titleOf, transitionOf, words } from "./definition";
import { recording, recordings } from "./recordings";
import { LOOKS, STATUSES, STATUS_NAMES, endedAt, isFinished, isMoving, isStatus, lookOf } from "./status";
import { absolute, clock, duration, moment, nextChange, relative, short } from "./time";
import { brief, either, statusSentence } from "./why";

const S = 1000;
const MIN = 60 * S;
const H = 60 * MIN;
const D = 24 * H;

describe("time", () => {
  it.each([
    [0, "0 ms"],
    [180, "180 ms"],
    [999.6, "1 s"],
    [2_400, "2.4 s"],
    [59_400, "59 s"],
    [59_900, "1 min"],
    [3 * H + 4 * MIN, "3 h 4 min"],
    [H - 100, "1 h"],
    [D - 1, "1 d"],
    [2 * D + 5 * H + 59 * MIN, "2 d 6 h"],
    [400 * D, "400 d"],
    [-2 * S, "-2 s"],
  ])("of %d ms is %s", (millis, text) => {
    expect(duration(millis)).toBe(text);
  });

  it("is relative, and now for clocks that differ a little", () => {
    expect(relative(0, 1_500)).toBe("now");
    expect(relative(2_000, 0)).toBe("in 2 s");
    expect(relative(0, 3 * H + 59 * MIN)).toBe("3 h ago");
    expect([short(500), short(-5 * S), short(0)]).toEqual(["500 ms", "-5 s", "0 ms"]);
  });

  it("is absolute with its zone", () => {
    const at = Date.parse("2026-11-25T21:20:29Z");
    expect(absolute(at, { timeZone: "UTC" })).toBe("25 Nov 2026, 21:20:29 UTC");
    expect(absolute(at, { timeZone: "Europe/Berlin" })).toMatch(/^25 Nov 2026, 22:20:29 (CET|GMT\+1)$/);
    expect(clock(at, at + H, { timeZone: "UTC" })).toBe("21:20");
    expect(clock(at, at + D, { timeZone: "UTC" })).toBe("25 Nov, 21:20");
  });

  it("ticks more slowly for what is far", () => {
    expect([nextChange(0, S), nextChange(0, 2 * MIN), nextChange(0, D)]).toEqual([1_000, 15_000, 60_000]);
  });

  it("reads moments, and says what is none", () => {
    expect(moment("1970-01-01T00:00:01Z")).toBe(1_000);
    expect(moment(null)).toBeNull();
    expect(() => moment("soon")).toThrow(/"soon" isn't a date/);
  });
});

describe("statuses", () => {
  it("each have words, a shape, a pattern and a place of their own", () => {
    const rows = Object.values(LOOKS);
    expect(new Set(rows.map((row) => row.word)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.shape)).size).toBe(rows.length);
    expect(new Set(rows.map((row) => row.token)).size).toBe(rows.length);
    expect(STATUS_NAMES[0]).toBe("failed");
  });

  it("look like sleeping where no person is needed", () => {
    expect(lookOf(recording("waiting").run)).toBe("waiting");
    expect(lookOf({ status: "waiting", waiting_for: [] })).toBe("sleeping");
    expect(lookOf({ status: "waiting", waiting_for: ["packed"] }, [])).toBe("sleeping");
    expect(lookOf({ status: "failed", waiting_for: [] })).toBe("failed");
  });

  it("tell when a run ended: a failed one grows no older", () => {
    const run = { status: "running", updated_at: "2026-01-01T00:00:05Z", finished_at: null } as const;
    expect(endedAt(run)).toBeNull();
    expect(endedAt({ ...run, status: "failed" })).toBe(run.updated_at);
    expect(endedAt({ ...run, status: "completed", finished_at: "2026-01-01T00:00:04Z" })).toBe("2026-01-01T00:00:04Z");
  });

  it("are recognised", () => {
    expect(isStatus("failed")).toBe(true);
    expect(isStatus("toString")).toBe(false);
    expect([isFinished("failed"), isFinished("canceled"), isMoving("pending"), isMoving("waiting")]).toEqual([false, true, true, false]);
  });
});

describe("actions", () => {
  const operator: Pick<Me, "role"> = { role: "operator" };

  it("have one primary, by status", () => {
    const first = (status: RunStatus) => actionsOf({ status, canceling: false }, operator)[0]!;
    expect(first("failed")).toMatchObject({ verb: "retry", primary: true, off: null });
    expect(first("running")).toMatchObject({ verb: "cancel", off: null });
    expect(first("completed")).toMatchObject({ verb: "again", off: null });
    expect(actionsOf({ status: "waiting", canceling: false }, operator).filter((one) => one.primary)).toEqual([]);
  });

  it("that are off say why", () => {
    for (const status of Object.keys(STATUSES) as RunStatus[]) {
      for (const verb of ["retry", "cancel", "again", "update", "delete"] as const) {
        const off = offReason(verb, status, operator);
        expect(off === null || off.endsWith(".")).toBe(true);
        expect(offReason(verb, status, { role: "viewer" })).toMatch(/operator/);
      }
    }
    expect(offReason("retry", "completed", operator)).toMatch(/run it again/);
    expect(offReason("cancel", "canceled", operator)).toMatch(/already/);
  });

  it("delete finished runs only, and a run that clears up can be cancelled now", () => {
    const able = (status: RunStatus) => offReason("delete", status, operator) === null;
    expect((Object.keys(STATUSES) as RunStatus[]).filter(able).sort()).toEqual(["canceled", "completed"]);
    expect(offReason("delete", "failed", operator)).toMatch(/cancel it first/);
    const cancel = (canceling: boolean) => actionsOf({ status: "running", canceling }, operator)[0]!;
    expect([cancel(false).label, cancel(true).label]).toEqual(["Cancel", "Cancel now"]);
    expect(cancel(true).off).toBeNull();
  });

  it("on many say how many", () => {
    expect(bulkLabel("cancel", 3)).toBe("Cancel 3 runs");
    expect(bulkLabel("retry", 1)).toBe("Retry 1 run");
    expect(counted(1000, "run", true)).toBe("1,000+ runs");
    expect(bulkSummary("cancel", { matching: 5, eligible: 3, more: false, skipped: { completed: 2 } })).toBe(
      "3 of 5 runs can be cancelled; 2 can't: 2 completed.",
    );
    expect(bulkSummary("retry", { matching: 2, eligible: 2, more: false, skipped: {} })).toBe("2 of 2 runs can be retried.");
    expect([eligible("retry", "failed"), eligible("retry", "completed")]).toEqual([true, false]);
  });
});

describe("why", () => {
  const zone = { timeZone: "UTC" };
  const sentence = (name: string) => {
    const { run, now, children } = recording(name);
    const openChildren = children.filter((child) => !isFinished(child.run.status)).length;
    return statusSentence({ run, zone, openChildren }, now);
  };

  it.each([
    ["waiting", "Waiting for decide or withdraw in 'review' for 3 h, its timer is due at 7 Jan, 00:00."],
    ["failed", "Failed in 'start' 4 min ago: Flaky.charge: ConnectionError: The bank didn't answer for order B3."],
    ["canceled", "Cancelled in 'review' just now: Ordered twice."],
    ["delayed", "Starts in 50 min, at 01:00."],
    ["timer", "Completed 1 h ago, after 6 h."],
  ])("is %s: %s", (name, text) => {
    expect(sentence(name).replace("at the start", "in 'start'")).toBe(text);
  });

  const base = recording("waiting").run;
  const now = recording("waiting").now;
  const told = (run: Partial<Run>, more = {}) => statusSentence({ run: { ...base, ...run }, zone, ...more }, now);

  it("tells what moves", () => {
    const updated_at = new Date(now - 4 * S).toISOString();
    expect(told({ status: "running", updated_at })).toBe("Running in 'review' for 4 s.");
    expect(told({ status: "pending", due_at: null, ready_at: updated_at, created_at: updated_at })).toBe("Queued for 4 s: the next free worker takes it.");
    expect(told({ status: "retrying", attempt: 2, error: "No.\nstack", due_at: new Date(now + MIN).toISOString() })).toBe(
      "Tries again at 03:01 (in 1 min), after 2 failed attempts in 'review': No.",
    );
    expect(told({ status: "retrying", attempt: 1, error: null, due_at: null, ready_at: updated_at })).toMatch(/^Tries again now, after 1 failed attempt/);
  });

  it("tells what a limit holds back, which is neither ready nor due", () => {
    const held = { due_at: null, ready_at: null };
    expect(told({ ...held, status: "pending", created_at: new Date(now - 4 * S).toISOString() })).toBe("Held back for 4 s: a limit or its group lets it through later.");
    expect(told({ ...held, status: "retrying", attempt: 1, error: "No." })).toMatch(/^Tries again as soon as a limit lets it through, after 1 failed attempt/);
  });

  it("tells what sleeps", () => {
    const asleep = { waiting_for: [], due_at: new Date(now + 2 * MIN).toISOString() };
    expect(told(asleep)).toBe("Sleeping in 'review' for 3 h, until 03:02 (in 2 min).");
    expect(told({ ...asleep, due_at: null })).toBe("Waiting for an event or another run in 'review' for 3 h.");
    expect(told(asleep, { openChildren: 100, moreChildren: true })).toMatch(/^Waiting for 100\+ runs that it started/);
    expect(told(asleep, { openChildren: 2 })).toMatch(/^Waiting for 2 runs that it started/);
    expect(told({ ...asleep, due_at: base.created_at })).toMatch(/it is due: the next/);
    expect(told({ due_at: base.created_at })).toMatch(/its timer is due\.$/);
  });

  it.each(recordings().map((one) => [one.name, one] as const))("is one sentence for %s at each moment", (_, { moments }) => {
    for (const { run, now: at } of moments) expect(statusSentence({ run, zone }, Date.parse(at))).toMatch(/^[A-Z].*\S$/);
  });

  it("cuts what is long", () => {
    expect(brief("x".repeat(500))).toHaveLength(160);
    expect(brief(null)).toBe("no reason was given");
    expect([either([]), either(["a"]), either(["a", "b_c"]), either(["a", "b", "c"])]).toEqual(["nothing", "a", "a or b c", "a, b or c"]);
  });
});

describe("a definition", () => {
  it("is read by name and source", () => {
    const { definition } = recording("careful");
    expect(transitionOf(definition, "send", "ready")?.error_place).toBe("broken");
    expect(transitionOf(definition, "send", "elsewhere")?.source).toBe("ready");
    expect(transitionOf(definition, "gone")).toBeNull();
    expect(transitionOf(null, "send")).toBeNull();
    expect([words("ask_for_review"), words("_"), words("ümlaut")]).toEqual(["Ask for review", "_", "Ümlaut"]);
  });
});

describe("what people read for a transition", () => {
  const widget = { type: "button", transition: "decide", label: "Send the decision", enabled_at: [], data: null, variant: "primary" } as const;
  const ui = [{ ...widget, enabled_at: [] }];

  it("is the label of its one control, else its name in words", () => {
    expect(titleOf({ ui }, "decide")).toBe("Send the decision");
    expect(titleOf({ ui }, "put_on_hold")).toBe("Put on hold");
    expect(titleOf(null, "decide")).toBe("Decide");
  });

  it("is no label where several controls send it", () => {
    expect(titleOf({ ui: [...ui, { ...widget, label: "Refuse", enabled_at: [] }] }, "decide")).toBe("Decide");
  });

  it("is in the sentence as it is on the page", () => {
    expect(either(["decide", "put_on_hold"], { ui })).toBe("“Send the decision” or put on hold");
  });
});
