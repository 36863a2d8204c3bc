import type { Json } from "@/api/types";
import { kept } from "@/ui/personal";

/** The args with which this user last started a workflow in this browser: offered, never filled in automatically. */
const nameOf = (app: string, name: string) => `last ${app} ${name}`;

export function remember(app: string, name: string, args: Json): void {
  kept.set(nameOf(app, name), args);
}

/** Undefined: nothing is remembered. */
export const remembered = (app: string, name: string) => kept.get(nameOf(app, name)) as Json | undefined;
