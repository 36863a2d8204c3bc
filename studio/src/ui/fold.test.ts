import { expect, test } from "vitest";
import { beginningOf, sizeOf } from "./fold";

const lines = (count: number) => Array.from({ length: count }, (_, at) => `line ${String(at + 1)}`).join("\n");

test("short texts, and those a little longer, are shown whole", () => {
  expect(beginningOf("")).toBeNull();
  expect(beginningOf(lines(24))).toBeNull();
  expect(beginningOf(lines(28))).toBeNull();
  expect(beginningOf("x".repeat(3100))).toBeNull();
});

test("of a long text the first lines are shown", () => {
  expect(beginningOf(lines(100))).toBe(lines(24));
  expect(beginningOf("x".repeat(20_000))).toHaveLength(3000);
});

test("no character is cut in two", () => {
  expect(beginningOf(`x${"👩".repeat(5000)}`)).toBe(`x${"👩".repeat(1499)}`);
});

test("sizes are of what is sent", () => {
  expect([sizeOf("abc"), sizeOf("é".repeat(1000)), sizeOf("x".repeat(23_400))]).toEqual(["3 B", "2.0 kB", "23 kB"]);
});
