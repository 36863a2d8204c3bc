import { faultIn } from "./jsonFault";

/** The value of a JSON text. An empty text means absent, which isn't null. */
export type Read = { ok: true; value: unknown } | { ok: false; fault: string; at: number };

export function readJson(text: string): Read {
  if (text.trim() === "") return { ok: true, value: undefined };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch {
    const { at, words } = faultIn(text);
    const before = text.slice(0, at).split("\n");
    return { ok: false, fault: `This isn't JSON yet: line ${String(before.length)}, column ${String((before.at(-1)?.length ?? 0) + 1)}: ${words}.`, at };
  }
}

export function writeJson(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
