import type { Json } from "@/api/types";
import type { Options } from "./request";

/** What stands in a form that wasn't sent: kept in this tab, for a reload. */
export interface Draft {
  args?: Json;
  options?: Options;
}

const keyOf = (form: string) => `stepwell.start ${form}`;

/** Undefined: nothing was typed, or storage is off. */
export function draftOf(form: string): Draft | undefined {
  try {
    const text = sessionStorage.getItem(keyOf(form));
    return text === null ? undefined : (JSON.parse(text) as Draft);
  } catch {
    return undefined;
  }
}

export function keepDraft(form: string, change: Draft): void {
  try {
    sessionStorage.setItem(keyOf(form), JSON.stringify({ ...draftOf(form), ...change }));
  } catch {
    return; // storage is off or full: the form itself still holds what was typed
  }
}

export function dropDraft(form: string): void {
  try {
    sessionStorage.removeItem(keyOf(form));
  } catch {
    return; // storage is off: there was none
  }
}
