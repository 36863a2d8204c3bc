/**
 * The text in the filter bar of the runs table, as a filter and back.
 *
 *     status:failed,retrying workflow:process_order label:"late night" place:review after:2026-11-01 some words
 */
import type { RunFilter, RunStatus } from "@/api/types";
import { STATUSES, STATUS_NAMES, isStatus, statusCalled } from "./status";

export type Qualifier =
  | "app"
  | "workflow"
  | "status"
  | "label"
  | "place"
  | "user"
  | "workspace"
  | "parent"
  | "after"
  | "before";

export interface QualifierHelp {
  name: Qualifier;
  help: string;
  example: string;
}

export const QUALIFIERS: readonly QualifierHelp[] = [
  { name: "status", help: "One or more statuses", example: "status:failed,retrying" },
  { name: "workflow", help: "A workflow's name", example: "workflow:process_order" },
  { name: "app", help: "An app's name", example: "app:orders" },
  { name: "place", help: "Where the run is now", example: "place:review" },
  { name: "label", help: "A label of the run", example: "label:nightly" },
  { name: "user", help: "The run's user", example: "user:alice" },
  { name: "workspace", help: "A workspace's id", example: "workspace:0197f1…" },
  { name: "parent", help: "Runs started by this run", example: "parent:0197f1…" },
  { name: "after", help: "Started at this time or later", example: "after:2026-11-01" },
  { name: "before", help: "Started before this time", example: "before:2026-11-30T12:00" },
];

const FIELDS: Record<Qualifier, keyof RunFilter> = {
  app: "app_name",
  workflow: "workflow",
  status: "status",
  label: "label",
  place: "place",
  user: "user_id",
  workspace: "workspace_id",
  parent: "parent_id",
  after: "created_after",
  before: "created_before",
};

export interface Chip {
  /** null: free text. */
  qualifier: Qualifier | null;
  value: string;
}

export interface ParsedFilter {
  filter: RunFilter;
  chips: readonly Chip[];
  /** One sentence for each part that was left out, and why. */
  problems: readonly string[];
}

export function parseFilter(text: string): ParsedFilter {
  const chips: Chip[] = [];
  const problems: string[] = [];
  for (const token of tokens(text)) {
    const chip = chipOf(token);
    const problem = faultOf(chip, !token.startsWith("\u0000"));
    if (problem === null) put(chips, chip);
    else problems.push(problem);
  }
  return { filter: filterOf(chips), chips, problems };
}

/** The text that `parseFilter` reads these chips from. */
export function filterText(chips: readonly Chip[]): string {
  return chips.map(({ qualifier, value }) => (qualifier ? `${qualifier}:${quoted(value)}` : quoted(value, true))).join(" ");
}

/** The chips of a filter, as they were typed, for links to a filtered table. */
export function chipsOf(filter: RunFilter): Chip[] {
  const chips = QUALIFIERS.flatMap(({ name }): Chip[] => {
    const value = filter[FIELDS[name]];
    const text = Array.isArray(value) ? value.join(",") : value;
    return text === undefined || text === "" ? [] : [{ qualifier: name, value: text }];
  });
  return filter.q ? [...chips, { qualifier: null, value: filter.q }] : chips;
}

/** The chips with one more; it replaces one with the same qualifier. */
export function withChip(chips: readonly Chip[], chip: Chip): Chip[] {
  const next = [...chips];
  put(next, chip);
  return next;
}

export function withoutChip(chips: readonly Chip[], chip: Chip): Chip[] {
  return chips.filter((one) => one.qualifier !== chip.qualifier || one.value !== chip.value);
}

/** The filter without runs of this status. The API takes the statuses that are wanted: all others are. */
export function without(filter: RunFilter, status: RunStatus): RunFilter {
  const wanted = (filter.status ?? STATUS_NAMES).filter((one) => one !== status);
  // Nothing would be left, so all other statuses are requested instead.
  return { ...filter, status: wanted.length > 0 ? wanted : STATUS_NAMES.filter((one) => one !== status) };
}

/** Qualifiers and statuses that may complete the last word. */
export function suggestions(text: string): string[] {
  const last = /(?:^|\s)([^\s"]*)$/.exec(text)?.[1] ?? "";
  const [name, value] = split(last);
  if (name === "status") {
    const begun = value.split(",").at(-1) ?? "";
    const before = value.slice(0, value.length - begun.length);
    return STATUS_NAMES.filter((one) => (one.startsWith(begun) || STATUSES[one].word.toLowerCase().startsWith(begun)) && !before.split(",").includes(one))
      .map((one) => `status:${before}${one}`);
  }
  return name !== null || last === "" ? [] : QUALIFIERS.filter((one) => one.name.startsWith(last)).map((one) => `${one.name}:`);
}

// -- reading -------------------------------------------------------------------------------------------------------

/** Parts between blanks; quotes hold blanks together, and a backslash keeps the sign after it. */
function tokens(text: string): string[] {
  const found: string[] = [];
  let [token, quote, begun] = ["", false, false];
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] as string;
    if (sign === "\\" && at + 1 < text.length) token += text[(at += 1)];
    else if (sign === '"') [quote, begun] = [!quote, true];
    else if (!quote && /\s/.test(sign)) {
      if (token !== "" || begun) found.push(begun && !qualified(token) ? `\u0000${token}` : token);
      [token, begun] = ["", false];
    } else token += sign;
  }
  if (token !== "" || begun) found.push(begun && !qualified(token) ? `\u0000${token}` : token);
  return found;
}

/** A quoted text is a filter only if it is a valid one: `"status:failed"`. */
function qualified(token: string): boolean {
  return split(token)[0] !== null;
}

function chipOf(token: string): Chip {
  if (token.startsWith("\u0000")) return { qualifier: null, value: token.slice(1) };
  const [qualifier, value] = split(token);
  return { qualifier, value: qualifier === "status" ? value.split(",").map((one) => statusCalled(one) ?? one).join(",") : value };
}

function split(token: string): [Qualifier | null, string] {
  const at = token.indexOf(":");
  const name = at > 0 ? token.slice(0, at).toLowerCase() : "";
  return Object.hasOwn(FIELDS, name) ? [name as Qualifier, token.slice(at + 1)] : [null, token];
}

/** `colour:red`, an unknown qualifier; quotes make it plain words, and so does the form of a URL. */
const UNKNOWN = /^([a-z][a-z_.-]*):(?!\/\/)\S/i;

function faultOf({ qualifier, value }: Chip, bare: boolean): string | null {
  const named = bare && qualifier === null ? UNKNOWN.exec(value)?.[1] : undefined;
  if (named !== undefined) return `There is no filter “${named}”: there are ${QUALIFIERS.map((one) => one.name).join(", ")}. To look for the text, write "${value}" in quotes.`;
  if (qualifier === null) return null;
  if (value === "") return `${qualifier}: needs a value, such as ${QUALIFIERS.find((one) => one.name === qualifier)?.example}.`;
  if (qualifier === "status") {
    const wrong = value.split(",").find((one) => !isStatus(one));
    return wrong === undefined ? null : `“${wrong}” isn't a status: ${Object.keys(STATUSES).join(", ")}.`;
  }
  if ((qualifier === "after" || qualifier === "before") && Number.isNaN(Date.parse(value))) {
    return `“${value}” isn't a date: write ${qualifier}:2026-11-25 or ${qualifier}:2026-11-25T21:20.`;
  }
  return null;
}

/** One chip per qualifier: the last one counts. Statuses are gathered, and so are words. */
function put(chips: Chip[], chip: Chip): void {
  const at = chips.findIndex((one) => one.qualifier === chip.qualifier);
  const known = chips[at];
  if (!known) chips.push(chip);
  else if (chip.qualifier === "status") {
    chips[at] = { ...chip, value: [...new Set([...known.value.split(","), ...chip.value.split(",")])].join(",") };
  } else chips[at] = chip.qualifier === null ? { ...chip, value: `${known.value} ${chip.value}`.trim() } : chip;
}

function filterOf(chips: readonly Chip[]): RunFilter {
  const filter: RunFilter = {};
  for (const { qualifier, value } of chips) {
    if (qualifier === null) filter.q = value;
    else if (qualifier === "status") filter.status = value.split(",") as RunStatus[];
    else if (qualifier === "after" || qualifier === "before") filter[FIELDS[qualifier] as "created_after"] = new Date(value).toISOString();
    else filter[FIELDS[qualifier] as "place"] = value;
  }
  return filter;
}

function quoted(value: string, free = false): string {
  const words = free ? value : null;
  // Free text of several words stays several words, unless it would be read as something else.
  if (words !== null && words !== "" && !/["\\:]/.test(words)) return words;
  return value === "" || /[\s"\\]/.test(value) || (free && value.includes(":"))
    ? `"${value.replace(/(["\\])/g, "\\$1")}"`
    : value;
}
