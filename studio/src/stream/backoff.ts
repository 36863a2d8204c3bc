/** How long to wait before the next try. */

export const FIRST_DELAY = 500;
export const LONGEST_DELAY = 30_000;

/** Doubles with each failure in a row, up to 30 s, and is spread over its upper half so that clients don't come together. */
export function backoff(failures: number, random: () => number): number {
  const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(failures - 1, 16));
  return Math.round(most / 2 + (most / 2) * random());
}
