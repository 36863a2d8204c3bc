import type { Schema } from "./schema";
import { isSchema, schemaOf } from "./schema";

/** What a Form widget of a workflow says about the fields of its payload. */
export interface Declared {
  fields?: Record<string, unknown> | null | undefined;
  order?: readonly string[] | null | undefined;
  groups?: readonly unknown[] | null | undefined;
}

/** The payload's schema with the form's own texts where the form looks for them; `fields` may name nested ones by "a.b". */
export function withWidgets(schema: Schema, { fields, order, groups }: Declared): Schema {
  const next = structuredClone(schema);
  if (order?.length) next["x-order"] = [...order];
  if (groups?.length) next["x-groups"] = [...groups];
  for (const [name, widget] of Object.entries(fields ?? {})) {
    const node = fieldAt(next, next, name.split("."));
    if (node) node["x-widget"] = widget;
  }
  return next;
}

function fieldAt(node: Schema, root: Schema, path: string[]): Schema | null {
  const [name, ...rest] = path;
  const owner = typeof node.$ref === "string" ? schemaOf(schemaOf(root.$defs)[node.$ref.replace("#/$defs/", "")]) : node;
  const found = schemaOf(owner.properties)[name ?? ""];
  if (!isSchema(found)) return null;
  return rest.length === 0 ? found : fieldAt(found, root, rest);
}
