import { expect, it } from "vitest";
import type { Checkpoint, Json } from "@/api/types";
import { editedOf, faultText, noWay } from "./fork";

it.each([
  [{ version: 3, status: "committed", target: "review" }, null],
  [{ version: 0, status: "committed", target: "review" }, null],
  [{ version: 0, status: "committed", target: null }, /created here/],
  [{ version: 2, status: "failed", target: null }, /led to no place/],
  [{ version: 2, status: "failed", target: "giving back" }, null],
  [{ version: 2, status: "void", target: null }, /wasn't used/],
  [{ version: 4, status: "committed", target: "end" }, /led to the end/],
] as const)("a fork at %j: %s", (row, why) => {
  const said = noWay(row as Checkpoint);
  if (why === null) expect(said).toBeNull();
  else expect(said).toMatch(why);
});

function readJson(text: string): Parameters<typeof editedOf>[2] extends (text: string) => infer Found ? Found : never {
  if (text.trim() === "") return { ok: true, value: undefined };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    return { ok: false, fault: "not JSON", at: 6 };
  }
}

const edited = (text: string, original: Json = { a: 1, b: [true] }) => editedOf(text, original, readJson);

it("what isn't changed isn't sent, however it is laid out", () => {
  expect(edited('{ "a": 1,\n "b": [true] }')).toEqual({ kind: "same" });
  expect(edited('{ "a": 2, "b": [true] }')).toEqual({ kind: "changed", value: { a: 2, b: [true] } });
  expect(edited("null")).toEqual({ kind: "changed", value: null });
});

it("a text that isn't JSON, or empty, is no value", () => {
  expect(edited('{"a": }')).toMatchObject({ kind: "unusable", at: 6 });
  expect(edited(" ")).toMatchObject({ kind: "unusable", at: null });
});

it("a number that a browser would change isn't sent", () => {
  expect(edited('{"a": 12345678901234567890}')).toMatchObject({ kind: "unusable", why: expect.stringMatching(/^It has a whole number/) as string });
  expect(edited('{"a": 1, "b": 3}', JSON.parse('{"a": 12345678901234567890}') as Json)).toMatchObject({ why: expect.stringMatching(/^What is stored/) as string });
  expect(edited('{"a": 1.5e300, "b": 0.25}')).toMatchObject({ kind: "unusable" });
  expect(edited('{"a": 9007199254740991, "b": 0.25}')).toMatchObject({ kind: "changed" });
});

it("a fault names its place within the value", () => {
  expect(faultText({ loc: ["body", "state", "lines", 0, "sku"], msg: "Field required", type: "missing" }, "state")).toBe("lines.0.sku: Field required");
  expect(faultText({ loc: ["lines", 0], msg: "wrong", type: "x" }, "state")).toBe("lines.0: wrong");
  expect(faultText({ loc: [], msg: "wrong", type: "x" }, "args")).toBe("wrong");
});
