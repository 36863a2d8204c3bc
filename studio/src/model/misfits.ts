/** Runs that the code can't carry on: what several pages of the check have found, as one list. */
import type { Misfit } from "@/api/types";

/** One entry for each reason at a place, the most runs first. */
export function together(pages: readonly { items: readonly Misfit[] }[]): Misfit[] {
  const found = new Map<string, Misfit>();
  for (const one of pages.flatMap((page) => page.items)) {
    const key = keyOf(one);
    const known = found.get(key);
    found.set(key, known ? { ...known, runs: known.runs + one.runs } : one);
  }
  return [...found.values()].sort((a, b) => b.runs - a.runs);
}

export function keyOf({ app_name, workflow, workflow_version, place, reason }: Misfit): string {
  return JSON.stringify([app_name, workflow, workflow_version, place, reason]);
}
