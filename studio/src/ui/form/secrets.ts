import type { Schema } from "./schema";
import { branchesOf, resolved, schemaOf, schemasOf } from "./schema";

/** The value without its secrets (by its schema), for storing it. */
export function withoutSecrets(value: unknown, schema: Schema, root: Schema = schema, depth = 0): unknown {
  const node = resolved(schema, root);
  if (value === undefined || node.format === "password") return undefined;
  // Deeper than any value that a form holds: a schema that refers to itself and nothing else.
  if (depth > 64) return value;
  const parts = [...(branchesOf(node) ?? []), ...schemasOf(node.allOf)];
  const left = parts.reduce<unknown>((rest, part) => withoutSecrets(rest, part, root, depth + 1), value);
  if (Array.isArray(left)) {
    const places = schemasOf(node.prefixItems);
    return (left as unknown[]).map((item, at) => withoutSecrets(item, places[at] ?? schemaOf(node.items), root, depth + 1) ?? null);
  }
  if (typeof left !== "object" || left === null) return left;
  const entries = Object.entries(left).map(([name, one]) => [name, withoutSecrets(one as unknown, propertyOf(node, name), root, depth + 1)] as const);
  return Object.fromEntries(entries.filter(([, one]) => one !== undefined));
}

function propertyOf(node: Schema, name: string): Schema {
  const known = schemaOf(node.properties);
  return schemaOf(Object.hasOwn(known, name) ? known[name] : node.additionalProperties);
}
