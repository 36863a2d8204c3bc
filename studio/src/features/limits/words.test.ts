import { expect, test } from "vitest";
import { atMost, heldText, limitText } from "./words";

test("a limit says what it allows", () => {
  const texts = (["executing", "run", "rate", "fair", "group"] as const).map((kind) => limitText({ kind, limit: 2, per_seconds: kind === "rate" ? 60 : null }));
  expect(texts).toEqual([
    "At most 2 executing at once",
    "At most 2 begun and not ended",
    "At most 2 beginning within 1 min",
    "Keys take turns",
    "At most 2 of a group begun and not ended",
  ]);
  expect(limitText({ kind: "run", limit: null, per_seconds: null })).toBe("A limited number begun and not ended");
});

test("what holds it is told of the limit, where there is one, and never beyond what was counted", () => {
  expect(heldText({ kind: "run", holding: 2, limit: 3 })).toBe("2 of 3");
  expect(heldText({ kind: "fair", holding: 1, limit: 1 })).toBe("1");
  expect(heldText({ kind: "rate", holding: 1_000, limit: 5_000 })).toBe("1,000+ of 5,000");
  expect(atMost(999)).toBe("999");
});
