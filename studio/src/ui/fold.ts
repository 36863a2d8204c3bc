/** More lines, or more characters, than anybody reads by the way. */
const LINES = 24;
const CHARACTERS = 3000;

/** The beginning of a long text; null for one that is short enough to be shown. A few lines more aren't worth a click. */
export function beginningOf(text: string): string | null {
  const end = nthLineEnd(text, LINES);
  const cut = Math.min(end, CHARACTERS);
  if (text.length - cut < CHARACTERS / 10 && nthLineEnd(text, LINES + 6) >= text.length) return null;
  const line = text.lastIndexOf("\n", cut);
  // At a line's end, if that leaves most of it; never inside a pair of surrogates.
  const at = line > cut / 2 ? line : cut;
  return text.slice(0, /[\uD800-\uDBFF]/.test(text.charAt(at - 1)) ? at - 1 : at);
}

function nthLineEnd(text: string, count: number): number {
  let at = -1;
  for (let line = 0; line < count; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) return text.length;
  }
  return at;
}

/** "23 kB", as it would be sent. */
export function sizeOf(text: string): string {
  const bytes = new TextEncoder().encode(text).length;
  return bytes < 1000 ? `${String(bytes)} B` : `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
}
