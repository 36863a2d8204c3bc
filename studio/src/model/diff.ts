/** The changes between two JSON values, as rows: path, sign, old, new. */
import type { Json } from "@/api/types";
import { type Piece, wordDiff } from "./words-diff";

export type Step = string | number;

export interface Change {
  path: readonly Step[];
  /** The path as text: `items[2].name`; items with an id by it: `items[id=7].name`. */
  at: string;
  sign: "+" | "-" | "~";
  old: Json | undefined;
  new: Json | undefined;
  /** For two long texts: their changes, word by word. */
  words: readonly Piece[] | null;
}

export interface ChangeCount {
  added: number;
  removed: number;
  changed: number;
}

/** Texts from this length on are compared word by word. */
const LONG = 40;
const ID_FIELDS = ["id", "key", "uuid", "name"] as const;

/** The changes from `before` to `after`, in the order of the paths; empty if they are equal. */
export function diff(before: Json, after: Json): Change[] {
  const changes: Change[] = [];
  compare(before, after, [], "", changes);
  return changes;
}

export function count(changes: readonly Change[]): ChangeCount {
  const of = (sign: Change["sign"]) => changes.filter((one) => one.sign === sign).length;
  return { added: of("+"), removed: of("-"), changed: of("~") };
}

/** "+1 ~2 -1", or "no change". */
export function countText({ added, removed, changed }: ChangeCount): string {
  const parts = [added && `+${added}`, changed && `~${changed}`, removed && `−${removed}`].filter(Boolean);
  return parts.length > 0 ? parts.join(" ") : "no change";
}

type Into = Change[];

function compare(old: Json, now: Json, path: readonly Step[], at: string, into: Into): void {
  if (Object.is(old, now)) return;
  if (isObject(old) && isObject(now)) compareObjects(old, now, path, at, into);
  else if (Array.isArray(old) && Array.isArray(now)) compareArrays(old, now, path, at, into);
  else into.push(changed(path, at, old, now));
}

/** Words are compared only when the row is shown: counting the changes of long texts stays cheap. */
function changed(path: readonly Step[], at: string, old: Json, now: Json): Change {
  let words: Piece[] | null | undefined;
  return {
    path,
    at,
    sign: "~",
    old,
    new: now,
    get words() {
      words ??= wordsOf(old, now);
      return words;
    },
  };
}

type JsonObject = Record<string, Json>;

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wordsOf(old: Json, now: Json): Piece[] | null {
  const both = typeof old === "string" && typeof now === "string";
  return both && Math.max(old.length, now.length) >= LONG ? wordDiff(old, now) : null;
}

function compareObjects(old: JsonObject, now: JsonObject, path: readonly Step[], at: string, into: Into): void {
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const way = [...path, key];
    pair(own(old, key), own(now, key), way, keyText(at, key), into);
  }
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function pair(old: Json | undefined, now: Json | undefined, path: readonly Step[], at: string, into: Into): void {
  if (old === undefined && now !== undefined) into.push({ path, at, sign: "+", old, new: now, words: null });
  else if (old !== undefined && now === undefined) into.push({ path, at, sign: "-", old, new: now, words: null });
  else if (old !== undefined && now !== undefined) compare(old, now, path, at, into);
}

function compareArrays(old: Json[], now: Json[], path: readonly Step[], at: string, into: Into): void {
  const id = idField(old, now);
  if (id) compareById(id, old as JsonObject[], now as JsonObject[], path, at, into);
  else comparePlaces(old, now, path, at, into);
}

/** The field that identifies the items of both arrays, if there is one. */
function idField(old: Json[], now: Json[]): string | null {
  if (old.length + now.length === 0) return null;
  return ID_FIELDS.find((field) => [old, now].every((items) => tells(items, field))) ?? null;
}

function tells(items: Json[], field: string): boolean {
  const ids = items.map((item) => (isObject(item) ? own(item, field) : undefined));
  return ids.every((id) => typeof id === "string" || typeof id === "number") && new Set(ids).size === ids.length;
}

function compareById(
  id: string,
  old: JsonObject[],
  now: JsonObject[],
  path: readonly Step[],
  at: string,
  into: Into,
): void {
  const before = new Map(old.map((item) => [item[id], item]));
  const after = new Map(now.map((item) => [item[id], item]));
  for (const [key, item] of before) {
    if (!after.has(key)) pair(item, undefined, [...path, old.indexOf(item)], idText(at, id, key), into);
  }
  for (const [place, item] of now.entries()) {
    pair(before.get(item[id]), item, [...path, place], idText(at, id, item[id]), into);
  }
  const kept = (items: JsonObject[], other: Map<Json | undefined, JsonObject>) =>
    items.map((item) => item[id]).filter((key) => other.has(key));
  const [order, reordered] = [kept(old, after), kept(now, before)] as [Json[], Json[]];
  if (order.some((key, place) => key !== reordered[place])) {
    into.push({ path, at: `${at} (order)`, sign: "~", old: order, new: reordered, words: null });
  }
}

/** By position, without the equal items at both ends: inserting one item at the front isn't a change of all. */
function comparePlaces(old: Json[], now: Json[], path: readonly Step[], at: string, into: Into): void {
  const least = Math.min(old.length, now.length);
  let head = 0;
  while (head < least && equal(old[head] as Json, now[head] as Json)) head += 1;
  let tail = 0;
  while (tail < least - head && equal(old.at(-1 - tail) as Json, now.at(-1 - tail) as Json)) tail += 1;
  const [oldMiddle, newMiddle] = [old.length - head - tail, now.length - head - tail];
  for (let n = 0; n < Math.max(oldMiddle, newMiddle); n += 1) {
    const place = head + n;
    pair(n < oldMiddle ? old[place] : undefined, n < newMiddle ? now[place] : undefined, [...path, place], `${at}[${place}]`, into);
  }
}

export function equal(a: Json, b: Json): boolean {
  return diff(a, b).length === 0;
}

function keyText(at: string, key: string): string {
  if (!/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)) return `${at}[${JSON.stringify(key)}]`;
  return at === "" ? key : `${at}.${key}`;
}

function idText(at: string, id: string, value: Json | undefined): string {
  return `${at}[${id}=${typeof value === "string" ? value : JSON.stringify(value)}]`;
}
