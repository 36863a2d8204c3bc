import type { Json } from "@/api/types";

/** What this browser started a workflow with last: offered, never filled in by itself. */
const keyOf = (app: string, name: string) => `stepwell.last ${app} ${name}`;

export function remember(app: string, name: string, args: Json): void {
  try {
    localStorage.setItem(keyOf(app, name), JSON.stringify(args));
  } catch {
    // Storage is off or full: nothing will be offered.
  }
}

/** Undefined: nothing is remembered. */
export function remembered(app: string, name: string): Json | undefined {
  try {
    const text = localStorage.getItem(keyOf(app, name));
    return text === null ? undefined : (JSON.parse(text) as Json);
  } catch {
    return undefined; // storage is off
  }
}
