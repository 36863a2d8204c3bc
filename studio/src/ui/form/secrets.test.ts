import { expect, test } from "vitest";
import { withoutSecrets } from "./secrets";

const SECRET = { type: "string", format: "password", writeOnly: true };
const schema = {
  type: "object",
  properties: {
    name: { type: "string" },
    key: { anyOf: [SECRET, { type: "null" }] },
    all: { type: "array", items: SECRET },
    by: { type: "object", additionalProperties: SECRET },
    child: { $ref: "#/$defs/Child" },
  },
  $defs: { Child: { type: "object", properties: { key: SECRET, child: { anyOf: [{ $ref: "#/$defs/Child" }, { type: "null" }] } } } },
};

test("secrets are left out wherever they stand, and nothing else", () => {
  const value = { name: "n", key: "k", all: ["a"], by: { a: "b" }, child: { key: "k", child: { key: "k", other: [1] } }, extra: null };
  expect(withoutSecrets(value, schema)).toEqual({ name: "n", all: [null], by: {}, child: { child: { other: [1] } }, extra: null });
});

test("a schema that only refers to itself ends", () => {
  expect(withoutSecrets("x", { $ref: "#/$defs/A", $defs: { A: { anyOf: [{ $ref: "#/$defs/A" }] } } })).toBe("x");
});
