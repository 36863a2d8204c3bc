/** A limit in words: what it allows, whose it is, and how it is used. */
import type { Limit } from "@/api/types";
import { grouped } from "@/model/progress";
import { duration } from "@/model/time";

/** "At most 2 executing at once". */
export function limitText({ kind, limit, per_seconds }: Pick<Limit, "kind" | "limit" | "per_seconds">): string {
  const most = limit === null ? "A limited number" : `At most ${grouped(limit)}`;
  switch (kind) {
    case "executing":
      return `${most} executing at once`;
    case "run":
      return `${most} begun and not ended`;
    case "rate":
      return `${most} beginning within ${per_seconds === null ? "a time" : duration(per_seconds * 1000)}`;
    case "fair":
      return "Keys take turns";
    case "group":
      return `${most} of a group begun and not ended`;
  }
}

/** "2 of 2", "2" where the limit isn't known or there is none. */
export function heldText({ kind, holding, limit }: Pick<Limit, "kind" | "holding" | "limit">): string {
  return limit === null || kind === "fair" ? atMost(holding) : `${atMost(holding)} of ${grouped(limit)}`;
}

/** The server counts no further. */
export const MOST = 1_000;

export const atMost = (count: number) => (count >= MOST ? `${grouped(MOST)}+` : String(count));
