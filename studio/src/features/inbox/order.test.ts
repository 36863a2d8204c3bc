import { describe, expect, it } from "vitest";
import { neighbour, nextAfter } from "./order";

const items = ["a", "b", "c"].map((workflowId) => ({ workflowId }));

describe("moving through the questions", () => {
  it("goes down and up, and stays at the ends", () => {
    expect(neighbour(items, "a", 1)).toBe("b");
    expect(neighbour(items, "c", 1)).toBe("c");
    expect(neighbour(items, "a", -1)).toBe("a");
    expect(neighbour(items, "gone", 1)).toBe("a");
    expect(neighbour([], "gone", 1)).toBe("gone");
  });

  it("after a decision takes the one below, else the one above", () => {
    expect(nextAfter(items, "a")).toBe("b");
    expect(nextAfter(items, "c")).toBe("b");
    expect(nextAfter(items, "gone")).toBe("a");
    expect(nextAfter(items.slice(0, 1), "a")).toBeUndefined();
  });
});
