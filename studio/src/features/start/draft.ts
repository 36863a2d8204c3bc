import type { Json } from "@/api/types";
import { keptInTab } from "@/ui/personal";
import type { Options } from "./request";

/** The content of a form that wasn't submitted: kept in this tab, for a reload. */
export interface Draft {
  args?: Json;
  options?: Options;
}

const nameOf = (form: string) => `start ${form}`;

/** Undefined: nothing was typed, or storage is off. */
export const draftOf = (form: string) => keptInTab.get(nameOf(form)) as Draft | undefined;

export function keepDraft(form: string, change: Draft): void {
  keptInTab.set(nameOf(form), { ...draftOf(form), ...change });
}

export function dropDraft(form: string): void {
  keptInTab.set(nameOf(form), undefined);
}
