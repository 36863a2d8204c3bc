import { describe, expect, it } from "vitest";
import type { Page, Waiting } from "@/api/types";
import { answerableIn } from "./asked";

const at = Date.parse("2026-11-25T21:20:00Z");
const run = (workflow_id: string, status: "waiting" | "running" = "waiting") => ({ workflow_id, status, updated_at: "2026-11-25T21:00:00Z" });
const page = (ids: string[], next_cursor: string | null): Page<Waiting> => ({
  items: ids.map((id) => ({ run: { workflow_id: id }, asks: [{ transition: "approve" }, { transition: "reject" }], since: "" }) as unknown as Waiting),
  next_cursor,
});

describe("who is asked", () => {
  it("knows what may be answered of a run in the list", () => {
    expect(answerableIn([page(["c", "a"], null)], at, run("a"))).toEqual(["approve", "reject"]);
  });

  it("says nobody of a run that the list would hold if it asked somebody", () => {
    expect(answerableIn([page(["c", "a"], null)], at, run("b"))).toEqual([]);
    expect(answerableIn([page([], null)], at, run("b"))).toEqual([]);
    expect(answerableIn([page(["c", "b"], "more")], at, run("bb"))).toEqual([]);
  });

  it("says nothing where the list doesn't reach, is older than the run, or isn't there", () => {
    expect(answerableIn([page(["c", "b"], "more")], at, run("a"))).toBeUndefined();
    expect(answerableIn([page(["c"], null)], at - 3_600_000, run("a"))).toBeUndefined();
    expect(answerableIn([], 0, run("a"))).toBeUndefined();
    expect(answerableIn([page(["c"], null)], at, run("a", "running"))).toBeUndefined();
  });
});
