import { describe, expect, it } from "vitest";
import type { Ask, Widget } from "@/api/types";
import { controlsOf, labelOf, lockOf, promptData, takesNothing, waitId, waitOf, widgetOff } from "./answer";
import { recording } from "./recordings";

const ask = (transition: string, schema: Ask["schema"] = { type: "object", properties: { x: {} } }): Ask => ({
  transition,
  title: "",
  description: "",
  optional: false,
  schema,
  source: "review",
  target: "end",
});
const chat = recording("chat");
const review = recording("review");

describe("controls", () => {
  const [prompt, bye] = chat.definition.ui as [Widget, Widget];

  it("are those declared in Python, then a form or a button for the rest", () => {
    const { shown, others } = controlsOf([ask("bye", null), ask("say"), ask("decide"), ask("skip", null)], [prompt, bye], "listening");
    expect(shown.map((one) => [one.kind, one.ask.transition, labelOf(one)])).toEqual([
      ["prompt", "say", "Say"],
      ["button", "bye", "👋 Bye"],
      ["form", "decide", "Decide"],
      ["button", "skip", "Skip"],
    ]);
    expect(others).toEqual([]);
  });

  it("that the author enabled elsewhere only are offered apart", () => {
    const elsewhere = { ...bye, enabled_at: ["elsewhere"] } as Widget;
    const { shown, others } = controlsOf([ask("bye", null)], [elsewhere], "listening");
    expect(shown).toEqual([]);
    expect(others.map((one) => one.kind)).toEqual(["button"]);
  });

  it("of a form without fields is a button", () => {
    const form = review.definition.ui[0] as Widget;
    expect(controlsOf([ask("decide", { type: "object", properties: {} })], [form], "review").shown[0]?.kind).toBe("button");
    expect(takesNothing(ask("x", { type: "string" }))).toBe(false);
    expect(takesNothing(ask("x", { type: "object", additionalProperties: true }))).toBe(false);
  });

  it("of a document say why they are off", () => {
    const run = { place: "listening", status: "waiting" as const };
    expect(widgetOff(bye, [ask("bye")], run)).toBeNull();
    expect(widgetOff(bye, [], run)).toBe("Not now: the run is in 'listening'.");
    expect(widgetOff(bye, [], { place: "end", status: "completed" })).toBe("The run has ended.");
  });

  it("send a prompt's text in its field", () => {
    expect(promptData(prompt as never, "hi")).toEqual({ text: "hi" });
    expect(promptData({ ...prompt, field: null } as never, "hi")).toBe("hi");
  });
});

describe("a wait", () => {
  const zone = { timeZone: "UTC" };

  it("is named by the visit", () => {
    const wait = waitOf(chat.run, chat.history);
    expect(waitId(wait, "say")).toBe(`${chat.run.workflow_id}:3:listening:say`);
    expect(waitOf(chat.run, chat.history.slice(0, 2)).entered).toBe(1);
  });

  it("is over when somebody answered, and says who and what", () => {
    const wait = waitOf({ ...review.run, place: "review" }, review.history.slice(0, 2));
    expect(lockOf(wait, review.history.slice(0, 2), review.now, zone)).toBeNull();
    expect(lockOf(wait, review.history, review.now, zone)).toBe("Answered by alice at 03:00: Decide.");
  });

  it("is over when time or a cancellation ended it", () => {
    const canceled = recording("canceled");
    const timer = recording("timer");
    expect(lockOf(waitOf(canceled.run, canceled.history.slice(0, 2)), canceled.history, canceled.now, zone)).toBe("The run was cancelled at 00:20.");
    const asleep = waitOf({ ...timer.run, place: "sleeping" }, timer.history.slice(0, 2));
    expect(lockOf(asleep, timer.history, timer.now, zone)).toBe("The run went on at 06:00: Remind.");
  });
});
