import { describe, expect, it } from "vitest";
import type { Json } from "@/api/types";
import { count, countText, diff, equal } from "./diff";
import { recordings } from "./recordings";
import { wordDiff } from "./words-diff";

const told = (before: Json, after: Json) => diff(before, after).map((one) => [one.at, one.sign, one.old, one.new]);

describe("a diff", () => {
  it("names what was added, removed and changed", () => {
    expect(told({ a: 1, b: 2, c: { d: 3 } }, { a: 1, b: 5, c: { e: 4 } })).toEqual([
      ["b", "~", 2, 5],
      ["c.d", "-", 3, undefined],
      ["c.e", "+", undefined, 4],
    ]);
  });

  it("is empty for equal values, whatever the order of the fields", () => {
    expect(told({ a: [1, { b: null }], c: "x" }, { c: "x", a: [1, { b: null }] })).toEqual([]);
    expect(equal([1, [2]], [1, [2]])).toBe(true);
    expect(equal([1, [2]], [1, [3]])).toBe(false);
  });

  it("tells null from absent", () => {
    expect(told({ a: null }, {})).toEqual([["a", "-", null, undefined]]);
    expect(told({}, { a: null })).toEqual([["a", "+", undefined, null]]);
  });

  it("knows items by their ids", () => {
    const before = [{ id: 1, n: "a" }, { id: 2, n: "b" }];
    expect(told(before, [{ id: 2, n: "B" }, { id: 3, n: "c" }])).toEqual([
      ["[id=1]", "-", { id: 1, n: "a" }, undefined],
      ["[id=2].n", "~", "b", "B"],
      ["[id=3]", "+", undefined, { id: 3, n: "c" }],
    ]);
    expect(told(before, [before[1]!, before[0]!])).toEqual([[" (order)", "~", [1, 2], [2, 1]]]);
  });

  it("sees one item in front as one item", () => {
    expect(told([1, 2, 3], [0, 1, 2, 3])).toEqual([["[0]", "+", undefined, 0]]);
    expect(told([1, 2, 3], [1, 3])).toEqual([["[1]", "-", 2, undefined]]);
    expect(told({ "odd key": [1] }, { "odd key": [2] })).toEqual([['["odd key"][0]', "~", 1, 2]]);
  });

  it("tells a change of type, and of the whole value", () => {
    expect(told({ a: [] }, { a: {} })).toEqual([["a", "~", [], {}]]);
    expect(told(null, { a: 1 })).toEqual([["", "~", null, { a: 1 }]]);
  });

  it("compares long texts word by word", () => {
    const [change] = diff("The quick brown fox jumps over the lazy dog.", "The quick red fox jumps over the lazy dog!");
    expect(change?.words?.filter((one) => one.sign !== "=").map((one) => one.sign + one.text)).toEqual(["-brown", "+red", "-.", "+!"]);
  });

  it("doesn't read what is inherited", () => {
    expect(told({}, { constructor: 1 } as Json)).toEqual([["constructor", "+", undefined, 1]]);
  });

  it("counts", () => {
    expect(countText(count(diff({ a: 1, b: 2 }, { b: 3, c: 4, d: 5 })))).toBe("+2 ~1 −1");
    expect(countText(count([]))).toBe("no change");
  });

  it("of recorded states can be applied again", () => {
    for (const { history } of recordings()) {
      for (const [at, row] of history.slice(1, 40).entries()) {
        const before = history[at]!.state;
        const changes = diff(before, row.state);
        expect(changes.length === 0).toBe(JSON.stringify(before) === JSON.stringify(row.state));
      }
    }
  });
});

describe("a word diff", () => {
  it.each([
    ["", ""],
    ["one two three", "one 2 three"],
    ["a b c d", "d c b a"],
    ["", "new"],
    ["old", ""],
    ["Grüße, 世界!  Zeile\nzwei", "Grüße, 世界? Zeile\n\nzwei drei"],
    ["x ".repeat(1500), "y ".repeat(1500)],
  ])("gives both texts back: %j, %j", (before, after) => {
    const pieces = wordDiff(before.trimEnd(), after.trimEnd());
    const without = (sign: string) => pieces.filter((one) => one.sign !== sign).map((one) => one.text).join("");
    expect(without("+")).toBe(before.trimEnd());
    expect(without("-")).toBe(after.trimEnd());
  });
});

describe("very long texts", () => {
  const word = "lorem ipsum dolor sit amet ";
  const long = word.repeat(40_000);
  const rejoined = (sign: "+" | "-", pieces: readonly { sign: string; text: string }[]) =>
    pieces.filter((one) => one.sign === "=" || one.sign === sign).map((one) => one.text).join("");

  it("are compared quickly, and the change is a word", () => {
    const now = `${long.slice(0, 500_000)}CHANGED${long.slice(500_000)}`;
    const began = performance.now();
    const [change] = diff({ text: long }, { text: now });
    const pieces = change?.words ?? [];
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(rejoined("-", pieces)).toBe(long);
    expect(rejoined("+", pieces)).toBe(now);
    expect(pieces.filter((one) => one.sign !== "=").every((one) => one.text.length < 20)).toBe(true);
  });

  it.each([
    ["x".repeat(1_000_000), "y".repeat(1_000_000)],
    ["x".repeat(1_000_000), `${"x".repeat(400_000)}y${"x".repeat(600_000)}`],
    [long, ""],
    [long, long.toUpperCase()],
    [long, `${long} more`],
    [long, long.slice(27 * 5)],
  ])("give both sides back (%#)", (before, after) => {
    const began = performance.now();
    const pieces = diff(before, after)[0]?.words ?? [];
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(rejoined("-", pieces)).toBe(before);
    expect(rejoined("+", pieces)).toBe(after);
  });

  it("cost nothing to count", () => {
    const began = performance.now();
    for (let n = 0; n < 200; n += 1) count(diff({ text: long }, { text: `${long}${String(n)}` }));
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
