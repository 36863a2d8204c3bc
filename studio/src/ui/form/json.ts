/** What a text of JSON says. Nothing at all is absent, which is not null. */
export type Read = { ok: true; value: unknown } | { ok: false; fault: string };

export function readJson(text: string): Read {
  if (text.trim() === "") return { ok: true, value: undefined };
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { ok: false, fault: `This isn't JSON yet${place(text, error)}.` };
  }
}

export function writeJson(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** ": line 3, column 5", where the engine tells it. */
function place(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : "";
  const at = Number(/position (\d+)/.exec(message)?.[1] ?? NaN);
  if (Number.isNaN(at)) return /end of/i.test(message) ? ": it isn't finished" : "";
  const before = text.slice(0, at).split("\n");
  return `: see line ${String(before.length)}, column ${String((before.at(-1)?.length ?? 0) + 1)}`;
}
