import { describe, expect, it } from "vitest";
import { NOTHING, merged } from "./useBulk";

describe("the sum of a bulk action's pages", () => {
  it("adds what was done, why others weren't, and who refused", () => {
    const refused = { workflow_id: "a", detail: "It has ended." };
    const first = merged(NOTHING, { done: 200, skipped: { "it is running": 1 }, failed: [refused], next_cursor: "x" });
    const both = merged(first, { done: 7, skipped: { "it is running": 2, "it is waiting": 1 }, failed: [], next_cursor: null });
    expect(both).toMatchObject({ done: 207, skipped: { "it is running": 3, "it is waiting": 1 }, failed: [refused] });
  });
});
