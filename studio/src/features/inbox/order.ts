import type { Item } from "@/model/inbox";

type Open = Pick<Item, "workflowId">;

/** The question `by` places further down; at the ends it stays. */
export function neighbour(items: readonly Open[], open: string | undefined, by: number): string | undefined {
  const at = items.findIndex((one) => one.workflowId === open);
  const next = at < 0 ? 0 : Math.max(0, Math.min(items.length - 1, at + by));
  return items[next]?.workflowId ?? open;
}

/** The next question after `open` is answered: the one below, else the one above; none if it was the last. */
export function nextAfter(items: readonly Open[], open: string): string | undefined {
  const at = items.findIndex((one) => one.workflowId === open);
  if (at < 0) return items[0]?.workflowId;
  return items[at + 1]?.workflowId ?? items[at - 1]?.workflowId;
}
