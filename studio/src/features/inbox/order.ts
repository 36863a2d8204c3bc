import type { Waiting } from "@/api/types";

const idOf = (item: Waiting | undefined) => item?.run.workflow_id;

/** The question `by` places further down; at the ends it stays. */
export function neighbour(items: readonly Waiting[], open: string | undefined, by: number): string | undefined {
  const at = items.findIndex((one) => idOf(one) === open);
  const next = at < 0 ? 0 : Math.max(0, Math.min(items.length - 1, at + by));
  return idOf(items[next]) ?? open;
}

/** The next question after `open` is answered: the one below, else the one above; none if it was the last. */
export function nextAfter(items: readonly Waiting[], open: string): string | undefined {
  const at = items.findIndex((one) => idOf(one) === open);
  if (at < 0) return idOf(items[0]);
  return idOf(items[at + 1]) ?? idOf(items[at - 1]);
}
