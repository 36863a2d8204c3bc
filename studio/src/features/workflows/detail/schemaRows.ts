import type { JsonSchema } from "@/api/types";

type Node = Record<string, unknown>;

/** One field of a schema, in words. */
export interface SchemaRow {
  path: string;
  depth: number;
  type: string;
  required: boolean;
  /** As JSON; null: it has none. */
  otherwise: string | null;
  description: string;
}

/** The deepest level: a type that contains itself has infinitely many. */
const DEEPEST = 6;

/** The fields of an object's schema, nested ones below their owners. Empty for what is no object. */
export function schemaRows(schema: JsonSchema): SchemaRow[] {
  return rowsOf(schema, schema, "", 0, []);
}

function rowsOf(node: Node, root: Node, prefix: string, depth: number, seen: readonly string[]): SchemaRow[] {
  const required = Array.isArray(node.required) ? (node.required as unknown[]) : [];
  return Object.entries(asNode(node.properties)).flatMap(([name, raw]) => {
    const child = asNode(raw);
    const path = prefix ? `${prefix}.${name}` : name;
    const row: SchemaRow = {
      path,
      depth,
      type: typeOf(child, root),
      required: required.includes(name),
      otherwise: child.default === undefined ? null : JSON.stringify(child.default),
      description: typeof child.description === "string" ? child.description : "",
    };
    const inner = innerOf(child, root);
    const ref = refOf(child, root);
    if (!inner || depth >= DEEPEST || (ref && seen.includes(ref))) return [row];
    return [row, ...rowsOf(inner.node, root, inner.list ? `${path}[]` : path, depth + 1, ref ? [...seen, ref] : seen)];
  });
}

/** The object inside: the field itself, what it may be null instead of, or the items of a list. */
function innerOf(node: Node, root: Node): { node: Node; list: boolean } | null {
  const one = only(resolve(node, root), root);
  if (one.properties) return { node: one, list: false };
  const item = one.items === undefined ? null : only(resolve(asNode(one.items), root), root);
  return item?.properties ? { node: item, list: true } : null;
}

function refOf(node: Node, root: Node): string | null {
  const one = only(node, root, false);
  const ref = one.$ref ?? asNode(one.items).$ref;
  return typeof ref === "string" ? ref : null;
}

/** Of `X | null`, X. */
function only(node: Node, root: Node, follow = true): Node {
  const branches = branchesOf(node).filter((branch) => branch.type !== "null");
  const [first] = branches;
  if (branches.length !== 1 || !first) return node;
  return follow ? resolve(first, root) : first;
}

/** "text", "list of Line", "Card or Invoice", "one of low, normal, high". */
export function typeOf(node: Node, root: Node): string {
  if (typeof node.$ref === "string" && !resolve(node, root).enum) return node.$ref.split("/").at(-1) ?? "object";
  const one = resolve(node, root);
  if (one.const !== undefined) return JSON.stringify(one.const);
  if (Array.isArray(one.enum)) return `one of ${(one.enum as unknown[]).map(String).join(", ")}`;
  const branches = branchesOf(one);
  if (branches.length > 0) return branches.map((branch) => typeOf(branch, root)).join(" or ");
  if (one.type === "array") return one.items === undefined ? "list" : `list of ${typeOf(asNode(one.items), root)}`;
  if (one.type === "object" && typeof one.additionalProperties === "object") return `map from names to ${typeOf(asNode(one.additionalProperties), root)}`;
  if (typeof one.format === "string") return one.format;
  return typeof one.type === "string" ? (WORDS[one.type] ?? one.type) : "anything";
}

const WORDS: Record<string, string> = { string: "text", integer: "whole number", boolean: "yes or no" };

function branchesOf(node: Node): Node[] {
  const found = node.anyOf ?? node.oneOf;
  return Array.isArray(found) ? found.map(asNode) : [];
}

function resolve(node: Node, root: Node): Node {
  if (typeof node.$ref !== "string") return node;
  const found = asNode(asNode(root.$defs)[node.$ref.split("/").at(-1) ?? ""]);
  const { $ref: _ref, ...beside } = node;
  return { ...found, ...beside };
}

const asNode = (value: unknown): Node => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Node) : {});
