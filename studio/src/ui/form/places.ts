import type { Schema } from "./schema";
import { branchesOf, namesOf, resolved, schemaOf, schemasOf } from "./schema";
import type { Fault } from "./validate";

type Path = Fault["path"];

interface Step {
  label: string;
  /** Its position among its siblings in the form. */
  position: number;
  schema: Schema;
}

/** The location of a value, as the form names it: "Customer \u203a Lines \u203a 2 \u203a Name". */
export function wordsOf(path: Path, root: Schema): string {
  return stepsOf(path, root).map(({ label }) => label).join(" \u203a ");
}

/** The errors in the order of the form. */
export function inOrder(faults: readonly Fault[], root: Schema): Fault[] {
  const keyed = faults.map((fault) => ({ fault, key: stepsOf(fault.path, root).map(({ position }) => position) }));
  return keyed.sort((one, other) => compare(one.key, other.key)).map(({ fault }) => fault);
}

function stepsOf(path: Path, root: Schema): Step[] {
  const steps: Step[] = [];
  let schema = root;
  for (const name of path) {
    const step = typeof name === "number" ? entryOf(schema, name, root) : propertyOf(schema, name, root);
    steps.push(step);
    ({ schema } = step);
  }
  return steps;
}

function entryOf(schema: Schema, at: number, root: Schema): Step {
  const { items } = whichHas(schema, root, (node) => node.items !== undefined);
  const item = Array.isArray(items) ? schemasOf(items)[at] : schemaOf(items);
  return { label: String(at + 1), position: at, schema: item ?? {} };
}

function propertyOf(schema: Schema, name: string, root: Schema): Step {
  const owner = whichHas(schema, root, (node) => name in schemaOf(node.properties));
  const property = schemaOf(schemaOf(owner.properties)[name]);
  if (!(name in schemaOf(owner.properties))) return { label: name, position: Infinity, schema: schemaOf(owner.additionalProperties) };
  const { title } = resolved(property, root);
  return { label: typeof title === "string" && title !== "" ? title : name, position: orderOf(owner).indexOf(name), schema: property };
}

/** Names of an object's fields as the form has them: those without a group first. */
function orderOf(owner: Schema): string[] {
  const names = [...new Set([...namesOf(owner["x-order"]), ...Object.keys(schemaOf(owner.properties))])];
  const grouped = schemasOf(owner["x-groups"]).flatMap((group) => namesOf(group.fields));
  return [...names.filter((name) => !grouped.includes(name)), ...grouped];
}

/** The first of a node and the branches of its union that matches; else the node. */
function whichHas(schema: Schema, root: Schema, has: (node: Schema) => boolean): Schema {
  const node = resolved(schema, root);
  const all = [node, ...(branchesOf(node) ?? []).map((branch) => resolved(branch, root))];
  return all.find(has) ?? node;
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((position, index) => position !== other[index]);
  if (at < 0) return one.length - other.length;
  return (one[at] ?? -1) - (other[at] ?? -1);
}
