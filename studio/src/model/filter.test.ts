import { describe, expect, it } from "vitest";
import { chipsOf, filterText, parseFilter, suggestions, withChip, without, withoutChip } from "./filter";

describe("a filter", () => {
  it("is read from text", () => {
    expect(parseFilter('status:failed,retrying workflow:x label:"late night" place:review user:al some words').filter).toEqual({
      status: ["failed", "retrying"],
      workflow: "x",
      label: "late night",
      place: "review",
      user_id: "al",
      q: "some words",
    });
  });

  it("gathers statuses and words; of the others the last one counts", () => {
    expect(parseFilter("status:failed a status:waiting b workflow:x workflow:y").filter).toEqual({
      status: ["failed", "waiting"],
      q: "a b",
      workflow: "y",
    });
  });

  it("leaves out what makes no sense, and says so", () => {
    const { filter, problems } = parseFilter("status:broken after:soon workflow: x");
    expect(filter).toEqual({ q: "x" });
    expect(problems).toHaveLength(3);
    expect(problems[0]).toMatch(/“broken” isn't a status: failed/);
    expect(problems[1]).toMatch(/write after:2026/);
  });

  it("knows statuses by the words that people read", () => {
    expect(parseFilter("status:Queued,cancelled,failed").filter).toEqual({ status: ["pending", "canceled", "failed"] });
    expect(suggestions("status:que")).toEqual(["status:pending"]);
  });

  it("leaves out a status by asking for all others", () => {
    expect(without({ q: "x" }, "completed")).toEqual({ q: "x", status: ["failed", "waiting", "retrying", "running", "pending", "canceled"] });
    expect(without({ status: ["failed", "waiting"] }, "failed").status).toEqual(["waiting"]);
    expect(without({ status: ["failed"] }, "failed").status).not.toContain("failed");
  });

  it("takes other colons for words", () => {
    expect(parseFilter('http://x.y "note:z"').filter).toEqual({ q: "http://x.y note:z" });
    expect(parseFilter("note:z").problems[0]).toMatch(/There is no filter “note”.*in quotes/);
    expect(parseFilter("note:z").filter).toEqual({});
    expect(parseFilter('"status:failed"').filter).toEqual({ status: ["failed"] });
  });

  it("reads dates as moments", () => {
    expect(parseFilter("after:2026-11-25").filter.created_after).toBe("2026-11-25T00:00:00.000Z");
  });

  it.each([
    "status:failed,waiting workflow:x",
    'label:"a \\"b\\" c" words here',
    "parent:1 workspace:2 app:3 before:2026-11-25T10:00",
    'place:"two words"',
    "",
  ])("is written as it was read: %s", (text) => {
    expect(filterText(parseFilter(text).chips)).toBe(text);
  });

  it("makes chips of a filter, and back", () => {
    const chips = chipsOf({ status: ["failed"], app_name: "orders", q: "late order" });
    expect(filterText(chips)).toBe("status:failed app:orders late order");
    expect(parseFilter(filterText(chips)).filter).toEqual({ status: ["failed"], app_name: "orders", q: "late order" });
  });

  it("gets and loses chips", () => {
    const chips = parseFilter("workflow:x words").chips;
    expect(filterText(withChip(chips, { qualifier: "workflow", value: "y" }))).toBe("workflow:y words");
    expect(filterText(withoutChip(chips, chips[0]!))).toBe("words");
  });

  it("suggests", () => {
    expect(suggestions("foo sta")).toEqual(["status:"]);
    expect(suggestions("status:re")).toEqual(["status:retrying"]);
    expect(suggestions("status:failed,r")).toEqual(["status:failed,retrying", "status:failed,running"]);
    expect(suggestions("wor")).toEqual(["workflow:", "workspace:"]);
    expect(suggestions("")).toEqual([]);
    expect(suggestions("workflow:x")).toEqual([]);
  });
});
