/** How long to wait before the next try. */

export const FIRST_DELAY = 500;
export const LONGEST_DELAY = 30_000;

/** Doubles with each consecutive failure, up to 30 s; random within its upper half, so that clients don't reconnect together. */
export function backoff(failures: number, random: () => number): number {
  const most = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.min(failures - 1, 16));
  return Math.round(most / 2 + (most / 2) * random());
}
