/** What people call a run: its subject and its labels, as they are edited. */
import type { Run } from "@/api/types";

export const MOST_SUBJECT = 200;

type Named = Pick<Run, "subject" | "labels">;

/** The labels of a text with one in each line; each once. */
export function labelsOf(text: string): string[] {
  return [...new Set(text.split("\n").map((line) => line.trim()).filter((line) => line !== ""))];
}

/** What is to be sent; null if nothing was changed. An empty subject removes it. */
export function changesOf(before: Named, now: { subject: string; labels: readonly string[] }): { subject?: string; labels?: string[] } | null {
  const subject = now.subject.trim();
  const changes = {
    ...(subject === (before.subject ?? "") ? {} : { subject }),
    ...(now.labels.length === before.labels.length && now.labels.every((label, at) => label === before.labels[at]) ? {} : { labels: [...now.labels] }),
  };
  return Object.keys(changes).length === 0 ? null : changes;
}
