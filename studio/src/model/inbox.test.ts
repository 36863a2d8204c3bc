import { describe, expect, it } from "vitest";
import type { Me, Question } from "@/api/types";
import { refusal } from "./answer";
import { answerOff, asksOf, forWhom, isOverdue, isSignal, itemsOf, mayOpen, placeOf, titleOf } from "./inbox";

const question = (change: Partial<Question>): Question => ({
  workflow_id: "r1",
  workflow_name: "expense",
  app_name: "office",
  transition: "decide",
  visit: 2,
  title: "Approve an expense",
  text: null,
  assignee: null,
  group: null,
  due_at: null,
  asked_at: "2026-11-25T12:00:00Z",
  payload_schema: null,
  user_id: "ada",
  subject: null,
  labels: [],
  documents: [],
  ...change,
});
const me = (change: Partial<Me> = {}): Pick<Me, "user_id" | "everybody" | "groups" | "role"> => ({ user_id: "ann", everybody: false, groups: ["finance"], role: "operator", ...change });

describe("the items of the inbox", () => {
  it("are one for each run, where its most urgent question is", () => {
    const items = itemsOf([question({ title: "Decide" }), question({ workflow_id: "r2" }), question({ transition: "hold", title: "Hold" })]);
    expect(items.map((one) => [one.workflowId, one.questions.length])).toEqual([["r1", 2], ["r2", 1]]);
    expect(items.map(titleOf)).toEqual(["Decide or hold", "Approve an expense"]);
  });

  it("say for whom they are", () => {
    expect(forWhom(question({ assignee: "ann" }), me())).toBe("for you");
    expect(forWhom(question({ assignee: "bob", group: "finance" }), me())).toBe("for bob or the group finance");
    expect(forWhom(question({ group: "finance" }), me())).toBe("for the group finance");
    expect(forWhom(question({ user_id: "ann" }), me())).toBe("for you, whose run it is");
    expect(forWhom(question({}), me())).toBe("for the run's user ada");
  });

  it("are overdue after their time, and never without one", () => {
    const now = Date.parse("2026-11-25T12:00:00Z");
    expect([isOverdue({ due_at: null }, now), isOverdue({ due_at: "2026-11-25T11:59:59Z" }, now), isOverdue({ due_at: "2026-11-25T12:00:01Z" }, now)]).toEqual([false, true, false]);
  });
});

describe("who may what", () => {
  it("the assignee, the group, or the run's user answers", () => {
    expect(answerOff(question({ assignee: "ann" }), me())).toBeNull();
    expect(answerOff(question({ group: "finance" }), me())).toBeNull();
    expect(answerOff(question({ user_id: "ann" }), me())).toBeNull();
    expect(answerOff(question({ assignee: "bob" }), me({ everybody: true }))).toMatch(/asked of bob\. Assign it to yourself/);
    expect(answerOff(question({ group: "legal", user_id: "ann" }), me())).toMatch(/the group legal/);
    expect(answerOff(question({}), me())).toMatch(/run's user/);
  });

  it("who sees all runs signals those that ask nobody by name", () => {
    expect(answerOff(question({}), me({ everybody: true }))).toBeNull();
    expect([isSignal(question({}), me()), isSignal(question({ user_id: "ann" }), me()), isSignal(question({ assignee: "ann" }), me())]).toEqual([true, false, false]);
  });

  it("a run opens for its user, and for who sees all", () => {
    expect([mayOpen(question({}), me()), mayOpen(question({ user_id: "ann" }), me()), mayOpen(question({}), me({ everybody: true }))]).toEqual([false, true, true]);
  });
});

describe("answers", () => {
  it("have the question's words and schema", () => {
    const schema = { type: "object" };
    expect(asksOf([question({ payload_schema: schema })])).toMatchObject([{ transition: "decide", title: "Approve an expense", schema }]);
    const transitions = [{ name: "decide", source: "review" }] as never;
    expect([placeOf(question({}), { transitions }), placeOf(question({ transition: "other" }), { transitions }), placeOf(question({}), undefined)]).toEqual(["review", "", ""]);
  });

  it("that came too late say who was faster, and when", () => {
    const now = Date.parse("2026-11-25T15:00:00Z");
    const problem = { type: "urn:stepwell:already-answered", title: "Already answered", status: 409, detail: "d", at: "2026-11-25T14:02:00Z" };
    const utc = { timeZone: "UTC" };
    expect(refusal({ ...problem, by: "bob" }, now, utc)).toMatch(/^Already answered by bob at 14:02:/);
    expect(refusal(problem, now, utc)).toMatch(/^Already answered at 14:02:/);
    expect(refusal({ type: "urn:stepwell:workflow-not-found", title: "t", status: 404, detail: "No run" }, now)).toMatch(/aren't asked this/);
    expect(refusal({ type: "about:blank", title: "Busy", status: 503, detail: "" }, now)).toBe("Busy");
  });
});
