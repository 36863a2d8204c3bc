/** Half of the part of an unchanged stretch that is shown. */
const CONTEXT = 60;
/** The lines and characters that are shown before the text is shortened. */
const LINES = 24;
const CHARACTERS = 3000;

/** The first `most` characters, with a sign that there are more. */
export function beginningOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const code = text.charCodeAt(most - 1);
  // Don't cut a surrogate pair.
  return `${text.slice(0, code >= 0xd800 && code < 0xdc00 ? most - 1 : most)}…`;
}

/**
 * The first lines of a text, cut at the end of a line if that leaves most of it; all of it if the rest
 * is too short to be worth a click.
 */
export function firstLinesOf(text: string): string {
  const cut = Math.min(lineEnd(text, LINES), CHARACTERS);
  if (text.length - cut < CHARACTERS / 10 && lineEnd(text, LINES + 6) === text.length) return text;
  const line = text.lastIndexOf("\n", cut);
  return beginningOf(text, line > cut / 2 ? line : cut);
}

/** Where the line of this number ends, counted from 1. */
function lineEnd(text: string, count: number): number {
  let at = -1;
  for (let line = 0; line < count; line += 1) {
    at = text.indexOf("\n", at + 1);
    if (at < 0) return text.length;
  }
  return at;
}

/** A stretch that didn't change, by its ends. */
export function endsOf(text: string): string {
  return text.length <= 3 * CONTEXT ? text : `${text.slice(0, CONTEXT)} … ${text.slice(-CONTEXT)}`;
}

/** "1,048,576" */
export function grouped(count: number): string {
  return FORMAT.format(count);
}

const FORMAT = new Intl.NumberFormat("en-GB");
