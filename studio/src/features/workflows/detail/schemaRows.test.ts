import { expect, test } from "vitest";
import type { JsonSchema } from "@/api/types";
import { schemaRows } from "./schemaRows";

const ORDER: JsonSchema = {
  type: "object",
  required: ["item", "lines"],
  properties: {
    item: { type: "string", description: "What" },
    count: { type: "integer", default: 1 },
    priority: { $ref: "#/$defs/Priority", default: "low" },
    note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
    lines: { type: "array", items: { $ref: "#/$defs/Line" } },
    pay: { oneOf: [{ $ref: "#/$defs/Card" }, { $ref: "#/$defs/Bill" }] },
    extra: { type: "object", additionalProperties: { type: "number" } },
    at: { type: "string", format: "date-time" },
    any: {},
  },
  $defs: {
    Priority: { enum: ["low", "high"], type: "string" },
    Line: { type: "object", properties: { sku: { type: "string" } }, required: ["sku"] },
    Card: { type: "object", properties: {} },
    Bill: { type: "object", properties: {} },
  },
};

test("each field is said in words, and lists of objects are opened", () => {
  expect(schemaRows(ORDER).map(({ path, type, required, otherwise }) => [path, type, required, otherwise])).toEqual([
    ["item", "text", true, null],
    ["count", "whole number", false, "1"],
    ["priority", "one of low, high", false, '"low"'],
    ["note", "text or null", false, "null"],
    ["lines", "list of Line", true, null],
    ["lines[].sku", "text", true, null],
    ["pay", "Card or Bill", false, null],
    ["extra", "map from names to number", false, null],
    ["at", "date-time", false, null],
    ["any", "anything", false, null],
  ]);
});

test("a type that contains itself ends", () => {
  const tree: JsonSchema = { $ref: "#/$defs/Node", properties: { root: { $ref: "#/$defs/Node" } }, $defs: { Node: { type: "object", properties: { children: { type: "array", items: { $ref: "#/$defs/Node" } } } } } };
  expect(schemaRows(tree).map((row) => row.path)).toEqual(["root", "root.children"]);
});

test("what is no object has no fields", () => {
  expect(schemaRows({ type: "string" })).toEqual([]);
});
