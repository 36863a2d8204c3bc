import type { Run, RunFilter } from "@/api/types";

/** Whether a run from the stream belongs in the list. Free text isn't matched here but by the server, which searches all fields. */
export function matches(run: Run, filter: RunFilter): boolean {
  return (
    is(filter.app_name, run.app_name) &&
    is(filter.workflow, run.workflow_name) &&
    is(filter.workspace_id, run.workspace_id) &&
    is(filter.user_id, run.user_id) &&
    is(filter.parent_id, run.parent_id) &&
    is(filter.place, run.place) &&
    (!filter.status?.length || filter.status.includes(run.status)) &&
    (!filter.label || run.labels.includes(filter.label)) &&
    (!filter.q || within(filter.q, run)) &&
    (!filter.created_after || Date.parse(run.created_at) >= Date.parse(filter.created_after)) &&
    (!filter.created_before || Date.parse(run.created_at) < Date.parse(filter.created_before))
  );
}

const is = (wanted: string | undefined, found: string | null) => !wanted || wanted === found;

function within(words: string, run: Run): boolean {
  const text = [run.workflow_id, run.subject, run.workflow_name, run.place, run.error, run.idempotency_key, ...run.labels].join(" ").toLowerCase();
  return text.includes(words.toLowerCase());
}

/** Ids of runs that belong in the list above or between its rows, and aren't in it. */
export function newcomers(heard: readonly Run[], rows: readonly Run[], filter: RunFilter, more: boolean): string[] {
  const known = new Set(rows.map((row) => row.workflow_id));
  const last = rows.at(-1)?.workflow_id;
  // Ids are ordered by time: what is older than the last row comes with the pages that aren't loaded yet.
  const below = (id: string) => more && last !== undefined && id < last;
  return heard.filter((run) => !known.has(run.workflow_id) && !below(run.workflow_id) && matches(run, filter)).map((run) => run.workflow_id);
}
