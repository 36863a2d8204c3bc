import { expect, test } from "vitest";
import { durationWords } from "./duration";
import { initial } from "./initial";
import { inOrder, wordsOf } from "./places";
import { prepare } from "./prepare";
import type { Schema } from "./schema";

const DIGITS = { type: "string", format: "decimal" };
const NUMBER = { type: "number" };
const NULL = { type: "null" };

test.each([
  ["as it is", { title: "Price", anyOf: [NUMBER, DIGITS] }, {}],
  ["with a bound", { title: "Price", anyOf: [{ minimum: 0, type: "number" }, DIGITS] }, {}],
  ["of an older Pydantic", { title: "Price", anyOf: [NUMBER, { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }] }, {}],
  ["optional", { title: "Price", anyOf: [NUMBER, DIGITS, NULL] }, { "x-nullable": true }],
])("a Decimal %s is one text", (_, schema, more) => {
  expect(prepare(schema)).toMatchObject({ type: "string", title: "Price", "x-decimal": true, ...more });
});

test("any other number or text stays a choice", () => {
  expect(prepare({ anyOf: [NUMBER, { type: "string" }] })["x-decimal"]).toBeUndefined();
});

test("a whole number or a number is a number", () => {
  expect(prepare({ title: "Ratio", anyOf: [{ type: "integer" }, NUMBER] })).toMatchObject({ type: "number", title: "Ratio" });
});

test("a secret is never filled in, whatever its default", () => {
  const secret = { type: "string", format: "password", writeOnly: true };
  const schema = prepare({ type: "object", properties: { a: { ...secret, default: "**********" }, b: { anyOf: [secret, NULL], default: "**********" } } });
  expect(initial(schema, schema)).toEqual({});
});

test.each([
  ["PT1H30M", "1 hour 30 minutes"],
  ["P2DT5M", "2 days 5 minutes"],
  ["-P1W", "minus 1 week"],
  ["PT0.5S", "0.5 seconds"],
  ["P1Y2M", "1 year 2 months"],
  ["P", null],
  ["PT", null],
  ["90", null],
])("%s is %s", (text, words) => {
  expect(durationWords(text)).toBe(words);
});

const FORM: Schema = {
  type: "object",
  properties: { a: { title: "First" }, b: { title: "Rows", type: "array", items: { $ref: "#/$defs/Row" } }, c: { title: "Last" }, d: { additionalProperties: {} } },
  "x-order": ["c"],
  "x-groups": [{ title: "More", fields: ["a"] }],
  $defs: { Row: { anyOf: [{ type: "object", properties: { other: {} } }, { type: "object", properties: { name: { title: "Name" } } }] } },
};

test("a place is told in the form's words, entries from one", () => {
  expect(wordsOf(["b", 0, "name"], FORM)).toBe("Rows › 1 › Name");
  expect(wordsOf(["d", "key", "deep"], FORM)).toBe("d › key › deep");
});

test("faults stand in the form's order", () => {
  const at = (...path: (string | number)[]) => ({ path, keyword: "required", message: "" });
  const sorted = inOrder([at("a"), at("b", 1), at("b", 0, "name"), at("c"), at()], FORM);
  expect(sorted.map(({ path }) => path.join("."))).toEqual(["", "c", "b.0.name", "b.1", "a"]);
});
