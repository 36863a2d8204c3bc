import { initial } from "./initial";
import type { Schema } from "./schema";
import { resolved, schemaOf } from "./schema";
import { isValid } from "./validate";

/** The branch of `value`: by its discriminator, else the first that matches, else the nearest. */
export function branchOf(branches: readonly Schema[], value: unknown, discriminator: string | null, root: Schema): number {
  const told = discriminator === null ? -1 : branches.findIndex((branch) => tells(resolved(branch, root), discriminator, value));
  if (told >= 0) return told;
  const fits = branches.findIndex((branch) => value !== undefined && isValid({ $defs: root.$defs, ...branch }, value, "2019-09"));
  if (fits >= 0) return fits;
  const scores = branches.map((branch) => nearness(resolved(branch, root), value));
  return Math.max(0, scores.indexOf(Math.max(...scores)));
}

function tells(branch: Schema, discriminator: string, value: unknown): boolean {
  const property = schemaOf(schemaOf(branch.properties)[discriminator]);
  const said = schemaOf(value)[discriminator];
  return said !== undefined && (property.const === said || (Array.isArray(property.enum) && property.enum.includes(said)));
}

function nearness(branch: Schema, value: unknown): number {
  if (kindOf(value) !== branch.type) return -1;
  const known = schemaOf(branch.properties);
  return Object.entries(schemaOf(value)).reduce((sum, [name, one]) => {
    const property = schemaOf(known[name]);
    if (property.const !== undefined) return sum + (property.const === one ? 10 : -10);
    return sum + (name in known ? 1 : 0);
  }, 0);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value === null) return "null";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

/** The value after a change to another branch: that branch's initial value, with the fields that both have in common. */
export function changedTo(branch: Schema, old: unknown, root: Schema): unknown {
  const node = resolved(branch, root);
  const fresh = initial(node, root);
  if (node.type !== "object" && !node.properties) return fresh;
  const kept = Object.entries(schemaOf(old)).filter(([name]) => {
    const property = schemaOf(schemaOf(node.properties)[name]);
    return name in schemaOf(node.properties) && property.const === undefined;
  });
  return { ...(fresh as object), ...Object.fromEntries(kept.filter(([name, one]) => isValid({ $defs: root.$defs, ...schemaOf(schemaOf(node.properties)[name]) }, one, "2019-09"))) };
}

/** The name of a branch in the list of choices. */
export function branchName(branch: Schema, at: number, root: Schema, discriminator: string | null): string {
  const node = resolved(branch, root);
  const said = discriminator === null ? undefined : schemaOf(schemaOf(node.properties)[discriminator]).const;
  if (typeof node.title === "string") return node.title;
  if (typeof said === "string") return said;
  if (typeof node.type === "string") return KINDS[node.type] ?? node.type;
  return `Option ${String(at + 1)}`;
}

const KINDS: Record<string, string> = { string: "Text", number: "Number", integer: "Whole number", boolean: "Yes or no", array: "List", object: "Object" };
