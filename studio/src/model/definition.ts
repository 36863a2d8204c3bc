/** Reading a workflow's definition: the part of it that the model needs. */
import type { WorkflowDetail } from "@/api/types";

export type Definition = Pick<WorkflowDetail, "places" | "transitions"> & Partial<Pick<WorkflowDetail, "ui">>;
export type DefinedTransition = Definition["transitions"][number];

export const START = "start";
export const END = "end";

/** "ask_for_review" as "Ask for review". */
export function words(name: string): string {
  const text = name.replace(/[_-]+/g, " ").trim();
  return text === "" ? name : text.charAt(0).toUpperCase() + text.slice(1);
}

/** The label of the only control for this transition; null if there is none, or more than one. */
export function labelIn(definition: Partial<Pick<WorkflowDetail, "ui">> | null | undefined, name: string): string | null {
  const mine = (definition?.ui ?? []).filter((widget) => widget.transition === name);
  const [only] = mine;
  if (!only || mine.length > 1) return null;
  return (only.type === "form" ? only.title : null) ?? only.label;
}

/** The displayed name of a transition. Its technical name is shown in details. */
export function titleOf(definition: Partial<Pick<WorkflowDetail, "ui">> | null | undefined, name: string): string {
  return labelIn(definition, name) ?? words(name);
}

/** The transition of this name from `source`; any of its name if none leaves there (a stacked or renamed one). */
export function transitionOf(
  definition: Definition | null | undefined,
  name: string | null,
  source?: string | null,
): DefinedTransition | null {
  if (!definition || name === null) return null;
  const named = definition.transitions.filter((one) => one.name === name);
  return named.find((one) => one.source === source) ?? named[0] ?? null;
}

export function transitionsFrom(definition: Definition | null | undefined, place: string): DefinedTransition[] {
  return definition ? definition.transitions.filter((one) => one.source === place) : [];
}
