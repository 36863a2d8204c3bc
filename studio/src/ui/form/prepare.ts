import type { Schema } from "./schema";
import { branchesOf, isSchema, schemaOf, schemasOf } from "./schema";

/**
 * The schema as the form shows it: what Pydantic writes, in the words that rjsf knows.
 *
 * - `anyOf [X, null]` becomes X with `x-nullable`: one field with a "null" state, not a union.
 * - The two forms of a Decimal become one text field, so that no digit is lost.
 * - `prefixItems` becomes `items: [...]`.
 * - A property that is only a reference gets its own name as its title: two addresses aren't both "Address".
 * - A schema of anything gets `x-any`: it is edited as JSON.
 * - A whole number or a number is a number.
 * - Defaults move to `x-default`: what is filled in is decided once (initial.ts), not by rjsf at every change.
 */
export function prepare(schema: Schema): Schema {
  const { default: given, ...rest } = schema;
  // The default of a secret is masked: sent, it would be a secret of asterisks.
  const node = collapsed(given === undefined || given === null || isSecret(schema) ? rest : { ...rest, "x-default": given });
  const next: Schema = { ...node };
  if (isSchema(node.properties)) next.properties = mapped(node.properties, (child, name) => prepare(named(child, name)));
  for (const key of ["$defs", "definitions", "patternProperties"]) {
    if (isSchema(node[key])) next[key] = mapped(node[key], prepare);
  }
  for (const key of ["anyOf", "oneOf", "allOf"]) {
    if (Array.isArray(node[key])) next[key] = schemasOf(node[key]).map(prepare);
  }
  if (isAnything(node.additionalProperties)) next.additionalProperties = { "x-any": true };
  else if (isSchema(node.additionalProperties)) next.additionalProperties = prepare(node.additionalProperties);
  if (node.type === "array" || node.items !== undefined || node.prefixItems !== undefined) Object.assign(next, items(node));
  if (isAnything(node)) next["x-any"] = true;
  return next;
}

function isSecret(schema: Schema): boolean {
  return schema.format === "password" || (branchesOf(schema) ?? []).some((branch) => branch.format === "password");
}

function collapsed(schema: Schema): Schema {
  const branches = branchesOf(schema);
  if (branches) return decimal(withoutNull(schema, branches));
  if (Array.isArray(schema.type) && schema.type.includes("null")) {
    const types = schema.type.filter((type) => type !== "null");
    return { ...schema, type: types.length === 1 ? types[0] : types, "x-nullable": true };
  }
  return schema;
}

function withoutNull(schema: Schema, branches: Schema[]): Schema {
  const left = branches.filter((branch) => branch.type !== "null");
  if (left.length === branches.length) return schema;
  const { anyOf: _anyOf, oneOf, ...beside } = schema;
  const [only] = left;
  if (left.length === 1 && only) return { ...collapsed(only), ...beside, "x-nullable": true };
  return { ...beside, [oneOf ? "oneOf" : "anyOf"]: left, "x-nullable": true };
}

/** `anyOf [number, digits as a string]`: what Pydantic says of a Decimal. */
function decimal(schema: Schema): Schema {
  const branches = schemasOf(schema.anyOf);
  const { anyOf: _anyOf, ...beside } = schema;
  // Every whole number is a number.
  if (branches.length === 2 && branches.every(isNumber)) return { ...branches.find((branch) => branch.type === "number"), ...beside };
  const number = branches.find((branch) => branch.type === "number");
  const text = branches.find(isDigits);
  if (branches.length !== 2 || !number || !text) return schema;
  return { ...text, ...beside, format: undefined, "x-decimal": true };
}

/** As Stepwell's schemas and those of older Pydantics say it. */
function isDigits({ type, format, pattern }: Schema): boolean {
  return type === "string" && (format === "decimal" || (typeof pattern === "string" && pattern.startsWith("^(?!^[-+.]*$)")));
}

function isNumber({ type, ...rest }: Schema): boolean {
  return (type === "number" || type === "integer") && Object.keys(rest).every((key) => key === "title");
}

function items(node: Schema): Schema {
  if (Array.isArray(node.prefixItems)) {
    const { items: rest } = node;
    return {
      items: schemasOf(node.prefixItems).map(prepare),
      additionalItems: rest === undefined || rest === false ? false : prepare(schemaOf(rest)),
      prefixItems: undefined,
    };
  }
  return { items: isAnything(node.items) ? { "x-any": true } : prepare(schemaOf(node.items)) };
}

const SAYS_SOMETHING = ["type", "$ref", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "additionalProperties", "items", "prefixItems", "not", "if", "x-any"];

/** Without a title of its own a reference would be called as its target is. In Pydantic's manner of making titles. */
function named(child: Schema, name: string): Schema {
  const refers = [child, ...(branchesOf(child) ?? [])].some((one) => typeof one.$ref === "string");
  if (!refers || child.title !== undefined) return child;
  return { ...child, title: name.replaceAll("_", " ").replace(/(?<!\p{L})\p{L}/gu, (letter) => letter.toUpperCase()) };
}

/** True for `true`, `{}` and schemas that only have a title or a description. */
function isAnything(schema: unknown): boolean {
  return schema === true || (isSchema(schema) && !SAYS_SOMETHING.some((key) => key in schema));
}

function mapped(properties: Schema, change: (schema: Schema, name: string) => Schema): Schema {
  return Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, child === true ? { "x-any": true } : change(schemaOf(child), name)]));
}
