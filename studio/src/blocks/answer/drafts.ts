/** What the user typed into a form and didn't send, per wait. */
import { kept } from "@/ui/personal";

const nameOf = (id: string) => `draft ${id}`;

/** undefined: there is none. Storage that is switched off or full holds no drafts, and that is all. */
export const draftOf = (id: string) => kept.get(nameOf(id));

export function keepDraft(id: string, value: unknown): void {
  kept.set(nameOf(id), value === "" ? undefined : value);
}

export function dropDraft(id: string): void {
  keepDraft(id, undefined);
}
