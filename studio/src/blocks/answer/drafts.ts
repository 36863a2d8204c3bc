/** What was typed into a form and not sent, in the browser's storage, per wait. */

const PREFIX = "stepwell.draft:";

/** undefined: there is none. Storage that is switched off or full holds no drafts, and that is all. */
export function draftOf(id: string): unknown {
  try {
    const text = localStorage.getItem(PREFIX + id);
    return text === null ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

export function keepDraft(id: string, value: unknown): void {
  try {
    if (value === undefined || value === "") localStorage.removeItem(PREFIX + id);
    else localStorage.setItem(PREFIX + id, JSON.stringify(value));
  } catch {
    return; // no storage: the form itself still holds what was typed
  }
}

export function dropDraft(id: string): void {
  keepDraft(id, undefined);
}
