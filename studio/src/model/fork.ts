/** Forks: at which rows of a history one can begin, and what is sent of an edited state. */
import type { Checkpoint, Json, ProblemField } from "@/api/types";
import { END } from "./definition";

/** Why no fork can begin at the row, apart from its state; null: one can. */
export function noWay(row: Pick<Checkpoint, "version" | "status" | "target">): string | null {
  if (row.status === "void") return "This signal wasn't used: it led to no place.";
  if (row.target === null) return row.version === 0 ? "The run was created here: fork it from a later checkpoint, or run it again with its args." : "This attempt led to no place: fork from an earlier checkpoint.";
  return row.target === END ? "It led to the end: there is nothing that a fork could go on with." : null;
}

/** Why no fork can begin at a row whose state is no longer kept. */
export const GONE = "Its state is no longer kept: only those of the newest checkpoints are (Settings.history_states).";

/** A value in the editor: as it was, another one, or a text that can't be used. */
export type Edited = { kind: "same" } | { kind: "changed"; value: Json } | { kind: "unusable"; why: string; at: number | null };

const TOO_LARGE = "has a whole number that browsers can't hold exactly (beyond 9,007,199,254,740,991). Fork it on the command line or in code.";

/** What the text in the editor stands for. `read` parses JSON; undefined is an empty text. */
export function editedOf(text: string, original: Json, read: (text: string) => { ok: true; value: unknown } | { ok: false; fault: string; at: number }): Edited {
  const found = read(text);
  if (!found.ok) return { kind: "unusable", why: found.fault, at: found.at };
  if (found.value === undefined) return { kind: "unusable", why: "A value is missing. Write null if it is to be empty.", at: null };
  const value = found.value as Json;
  if (JSON.stringify(value) === JSON.stringify(original)) return { kind: "same" };
  if (hasInexact(original)) return { kind: "unusable", why: `What is stored ${TOO_LARGE}`, at: null };
  return hasInexact(value) ? { kind: "unusable", why: `It ${TOO_LARGE}`, at: null } : { kind: "changed", value };
}

/** Whole numbers beyond 2^53 become others when a browser reads them. */
function hasInexact(value: Json): boolean {
  if (typeof value === "number") return Math.abs(value) > Number.MAX_SAFE_INTEGER && Number.isInteger(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasInexact);
}

/** "lines.0.quantity: Input should be less than 100"; the prefix says where the value was in the request. */
export function faultText({ loc, msg }: ProblemField, of: "state" | "args"): string {
  const inside = loc[0] === "body" ? loc.slice(loc[1] === of ? 2 : 1) : loc;
  return inside.length === 0 ? msg : `${inside.join(".")}: ${msg}`;
}
