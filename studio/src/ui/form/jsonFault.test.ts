import { expect, test } from "vitest";
import { faultIn } from "./jsonFault";
import { readJson } from "./json";

test.each([
  ["{", 1, "isn't finished"],
  ['{"a": 1,}', 7, "no comma is allowed after the last"],
  ["[1, 2", 5, "a ] is missing"],
  ["[1 2]", 3, "a comma or ]"],
  ["{a: 1}", 1, "a name in double quotes"],
  ['{"a" 1}', 5, "a colon"],
  ["'x'", 0, "double quotes"],
  ['["x', 1, "isn't closed"],
  ['["a\nb"]', 3, "can't contain a line end"],
  ['["\\x"]', 2, "a known escape"],
  ["[1] 2", 4, "more after the end"],
  ["01", 1, "more after the end"],
  ["[tru]", 1, "a value was expected"],
  ['{"a":', 5, "a value is missing"],
])("%s stops being JSON at %i", (text, at, words) => {
  expect(() => { JSON.parse(text); }).toThrow();
  expect(faultIn(text).at).toBe(at);
  expect(faultIn(text).words).toContain(words);
});

test("the place is told as a line and a column", () => {
  expect(readJson('{\n  "a": 1,\n  b\n}')).toMatchObject({ ok: false, fault: expect.stringContaining("line 3, column 3") as string });
  expect(readJson(" ")).toEqual({ ok: true, value: undefined });
});

test("a text nested deeper than the stack goes is still only wrong", () => {
  expect(faultIn("[".repeat(200_000)).words).toBeTruthy();
});
