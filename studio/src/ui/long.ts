/** Half of what is kept of a stretch that says nothing new. */
const CONTEXT = 60;

/** The first `most` characters, with a sign that there are more. */
export function beginningOf(text: string, most: number): string {
  if (text.length <= most) return text;
  const code = text.charCodeAt(most - 1);
  // Not through the middle of a sign of two halves.
  return `${text.slice(0, code >= 0xd800 && code < 0xdc00 ? most - 1 : most)}…`;
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
