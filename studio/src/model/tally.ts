/** How often a run reached each place and took each transition: kept for rows that aren't kept themselves. */
import type { Checkpoint } from "@/api/types";
import { START } from "./definition";

type Counted = Pick<Checkpoint, "version" | "transition" | "source" | "target" | "status">;

export interface Tally {
  /** Rows from the first one up to this one, without it, are counted. */
  until: number;
  places: ReadonlyMap<string, number>;
  ways: ReadonlyMap<string, number>;
}

export const NOTHING: Tally = { until: 0, places: new Map(), ways: new Map() };

/** The tally with the rows that follow; rows already counted aren't counted again. */
export function counted(tally: Tally, rows: readonly Counted[]): Tally {
  const [places, ways] = [new Map(tally.places), new Map(tally.ways)];
  let { until } = tally;
  for (const row of rows) {
    if (row.version < until) continue;
    until = row.version + 1;
    if (row.status === "void") continue;
    const place = row.version === 0 ? START : row.target;
    if (place !== null) add(places, place);
    add(ways, wayKey(row.transition, row.source, row.target, row.status === "failed"));
    if (row.status === "failed") add(ways, failureKey(row.transition, row.source));
  }
  return { until, places, ways };
}

function add(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

export function wayKey(transition: string | null, source: string | null, target: string | null, failed: boolean): string {
  return JSON.stringify([transition, source, target, failed]);
}

export function failureKey(transition: string | null, source: string | null): string {
  return JSON.stringify([transition, source]);
}
