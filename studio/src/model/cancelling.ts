/** What a cancel does, in words, and what one by force loses. */
import type { Step } from "@/api/types";

export interface Cancelling {
  canceling: boolean;
  /** The place from which it clears up; null: it doesn't. */
  clears: string | null;
  /** Children that are cancelled with it. */
  open: number;
}

export function cancelWords({ canceling, clears, open }: Cancelling): string {
  if (canceling) return `It is being cancelled already: it clears up in “${clears ?? "?"}”, and is cancelled when that is done.`;
  if (clears !== null) return `It clears up from “${clears}” on, and is cancelled at the end of that.`;
  if (open > 0) return `It stops for good, together with ${open === 1 ? "the run" : `the ${String(open)} runs`} that it started.`;
  return "It stops for good. What it has done so far isn't undone.";
}

/** The names of the steps that have an undo, and aren't undone yet. */
export function lostSteps(steps: readonly Pick<Step, "name" | "undo" | "undone_at" | "status">[]): string[] {
  return [...new Set(steps.filter((step) => step.undo !== null && step.undone_at === null && step.status === "completed").map((step) => step.name))];
}
