import { expect, test } from "vitest";
import { toggled } from "./selection";

const order = ["a", "b", "c", "d"];
const of = (...ids: string[]) => new Set(ids);

test("a click toggles one", () => {
  expect(toggled(of(), order, "b", null, false)).toEqual(of("b"));
  expect(toggled(of("b", "c"), order, "b", null, false)).toEqual(of("c"));
});

test("shift makes all from the anchor on as the clicked one becomes, in both directions", () => {
  expect(toggled(of("a"), order, "c", "a", true)).toEqual(of("a", "b", "c"));
  expect(toggled(of("d"), order, "b", "d", true)).toEqual(of("b", "c", "d"));
  expect(toggled(of("a", "b", "c"), order, "c", "a", true)).toEqual(of());
});

test("an anchor that left the list counts as none", () => {
  expect(toggled(of(), order, "c", "gone", true)).toEqual(of("c"));
});
