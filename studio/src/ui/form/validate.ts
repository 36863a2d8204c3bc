import type { OutputUnit, SchemaDraft } from "@cfworker/json-schema";
import { Validator } from "@cfworker/json-schema";
import type { Schema } from "./schema";
import { isSchema } from "./schema";
import { sentence } from "./words";

/** An error in a value, with its location. */
export interface Fault {
  path: (string | number)[];
  keyword: string;
  message: string;
}

const known = new WeakMap<Schema, Map<SchemaDraft, Validator>>();

/** Validators are interpreted, never compiled: Studio's pages allow no eval. One per schema object. */
function validatorOf(schema: Schema, draft: SchemaDraft): Validator {
  let drafts = known.get(schema);
  if (!drafts) known.set(schema, (drafts = new Map<SchemaDraft, Validator>()));
  let found = drafts.get(draft);
  if (!found) drafts.set(draft, (found = new Validator(withoutTimes(schema) as Schema, draft, false)));
  return found;
}

/** JSON schema requires a zone in every time; Python has times without one, and Pydantic accepts more than RFC 3339. */
const SERVERS_FORMATS: readonly unknown[] = ["date-time", "time", "duration"];

/** The schema without the formats that only the server can judge. */
function withoutTimes(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutTimes);
  if (!isSchema(node)) return node;
  const kept = Object.entries(node).filter(([key, value]) => key !== "format" || !SERVERS_FORMATS.includes(value));
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutTimes(value)]));
}

export function isValid(schema: Schema, value: unknown, draft: SchemaDraft): boolean {
  const sent = asSent(value);
  return sent !== undefined && validatorOf(schema, draft).validate(sent).valid;
}

/** All errors in `value`, each at its innermost location. */
export function faultsOf(schema: Schema, value: unknown, draft: SchemaDraft = "2020-12"): Fault[] {
  const sent = asSent(value);
  if (sent === undefined) return [{ path: [], keyword: "required", message: sentence("required", null, "") }];
  const { valid, errors } = validatorOf(schema, draft).validate(sent);
  if (valid) return [];
  const faults = likely(errors).filter((unit) => !WRAPPERS.has(unit.keyword)).map((unit) => faultOf(unit, schema));
  return unique(faults);
}

/** The value as JSON would represent it: undefined properties are absent. */
export function asSent(value: unknown): unknown {
  const text = JSON.stringify(value) as string | undefined;
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

/** Keywords that only report an error further inside, which is reported there too. */
const WRAPPERS = new Set(["properties", "items", "prefixItems", "additionalItems", "additionalProperties", "patternProperties", "$ref", "allOf", "if"]);

/** For a union that doesn't match, the errors of the branch that was probably meant, instead of those of all branches. */
function likely(units: OutputUnit[]): OutputUnit[] {
  let left = units;
  for (const union of units.filter((unit) => unit.keyword === "anyOf" || unit.keyword === "oneOf")) {
    if (!left.includes(union)) continue;
    const inside = left.filter((unit) => unit.keywordLocation.startsWith(`${union.keywordLocation}/`) && unit.instanceLocation.startsWith(union.instanceLocation));
    const branch = meant(inside, union);
    left = left.filter((unit) => !inside.includes(unit) || unit.keywordLocation.startsWith(`${branch ?? "-"}/`));
    if (branch !== null) left = left.filter((unit) => unit !== union);
  }
  return left;
}

/** The place of the branch with the right kind of value and the fewest faults; null if no branch has the right kind. */
function meant(inside: OutputUnit[], union: OutputUnit): string | null {
  const branches = new Map<string, { wrong: boolean; count: number }>();
  for (const unit of inside) {
    const place = `${union.keywordLocation}/${unit.keywordLocation.slice(union.keywordLocation.length + 1).split("/")[0] ?? ""}`;
    const seen = branches.get(place) ?? { wrong: false, count: 0 };
    const kind = (unit.keyword === "type" && unit.instanceLocation === union.instanceLocation) || unit.keyword === "const";
    branches.set(place, { wrong: seen.wrong || kind, count: seen.count + 1 });
  }
  const right = [...branches].filter(([, { wrong }]) => !wrong).sort(([, a], [, b]) => a.count - b.count);
  return right[0]?.[0] ?? null;
}

function faultOf(unit: OutputUnit, schema: Schema): Fault {
  const path = pathOf(unit.instanceLocation);
  const missing = unit.keyword === "required" ? /required property "(.*)"\.$/.exec(unit.error)?.[1] : undefined;
  const bound = boundOf(unit, schema);
  return { path: missing === undefined ? path : [...path, missing], keyword: unit.keyword, message: sentence(unit.keyword, bound, unit.error) };
}

/** The value of the keyword that failed, followed through the schema by its location. */
function boundOf(unit: OutputUnit, root: Schema): unknown {
  let node: unknown = root;
  for (const step of steps(unit.keywordLocation)) {
    if (typeof node !== "object" || node === null) return undefined;
    node = (node as Record<string, unknown>)[step];
    if (step === "$ref" && typeof node === "string") {
      node = steps(node).reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], root);
    }
  }
  return node;
}

const steps = (pointer: string) =>
  pointer.replace(/^#\/?/, "").split("/").filter(Boolean).map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));

const pathOf = (pointer: string) => steps(pointer).map((step) => (/^\d+$/.test(step) ? Number(step) : step));

function unique(faults: Fault[]): Fault[] {
  const seen = new Set<string>();
  return faults.filter((fault) => {
    const key = JSON.stringify([fault.path, fault.message]);
    return !seen.has(key) && seen.add(key);
  });
}
