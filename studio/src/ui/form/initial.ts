import type { Schema } from "./schema";
import { branchesOf, namesOf, resolved, schemaOf, schemasOf } from "./schema";

/**
 * What a prepared schema's form begins with: defaults, constants, and the objects that are required. An optional field without
 * a default stays absent; undefined means that there is nothing to fill in.
 */
export function initial(schema: Schema, root: Schema, depth = 0): unknown {
  const node = resolved(schema, root);
  if (node["x-default"] !== undefined) return structuredClone(node["x-default"]);
  if (node.const !== undefined) return structuredClone(node.const);
  if (node["x-nullable"] === true) return null;
  // Required objects of a recursive type would never end: the type couldn't be written down either.
  if (depth > 16) return undefined;
  const branches = branchesOf(node);
  if (branches) return ofUnion(branches, root, depth);
  if (node.type === "object" || node.properties) return ofObject(node, root, depth);
  return node.type === "array" ? ofArray(node, root, depth) : undefined;
}

/**
 * The value of a field that the user has added: like `initial`, but text and switches begin empty rather than absent, and a list with
 * one item.
 */
export function begun(schema: Schema, root: Schema): unknown {
  const { "x-nullable": _nullable, ...node } = resolved(schema, root);
  const value = initial(node, root);
  // A list is added in order to put something into it; lists of choices are ticked instead.
  if (Array.isArray(value) && value.length === 0 && node["x-default"] === undefined && !isChoice(node, root)) {
    return [begun(schemaOf(node.items), root) ?? null];
  }
  if (value !== undefined) return value;
  if (node.type === "boolean") return false;
  const free = node.type === "string" && !node.enum && !node.format && !node["x-decimal"];
  return free ? "" : undefined;
}

function isChoice(node: Schema, root: Schema): boolean {
  if (schemaOf(node["x-widget"]).type === "select") return true;
  return node.uniqueItems === true && Array.isArray(resolved(schemaOf(node.items), root).enum);
}

function ofUnion(branches: Schema[], root: Schema, depth: number): unknown {
  const [first] = branches;
  // The first branch is shown as chosen, and then its constants must be there too.
  return first && initial(first, root, depth + 1);
}

function ofObject(node: Schema, root: Schema, depth: number): Record<string, unknown> {
  const required = namesOf(node.required);
  const found: Record<string, unknown> = {};
  for (const [name, child] of Object.entries(schemaOf(node.properties))) {
    const property = resolved(schemaOf(child), root);
    const value = required.includes(name) ? initial(property, root, depth + 1) : structuredClone(property["x-default"]);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** A list begins empty, a tuple with all its items. */
function ofArray(node: Schema, root: Schema, depth: number): unknown[] {
  if (!Array.isArray(node.items)) return [];
  return schemasOf(node.items).map((item) => initial(item, root, depth + 1) ?? null);
}
