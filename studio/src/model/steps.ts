/** The journaled steps of a run in words. */
import type { Step } from "@/api/types";

/** The key of a step's row in the timeline, also in the address. */
export function stepKey({ visit, transition, name }: Pick<Step, "visit" | "transition" | "name">): string {
  return `step-${String(visit)}-${transition}-${name}`;
}

export const STEP_WORDS: Record<Step["status"], string> = {
  completed: "Completed",
  started: "Begun",
  failed: "Failed",
  unknown: "Outcome unknown",
};

export function unknownOutcome({ name }: Pick<Step, "name">): string {
  return `Whether the step ${name} took effect isn't known: it was begun, and ended without a value. It isn't called again in this visit. Ask the service that it called.`;
}
