import { Link } from "@tanstack/react-router";
import type { RunStatus, WorkflowSummary } from "@/api/types";
import { STATUSES } from "@/model/status";
import { StatusShape } from "@/ui/StatusShape";

const OPEN: readonly RunStatus[] = ["failed", "waiting", "retrying", "running", "pending"];

/** How many runs of a workflow aren't over, by status; each count leads to them. */
export function OpenRuns({ workflow: { app_name, name, counts } }: { workflow: WorkflowSummary }) {
  const shown = OPEN.filter((status) => (counts[status] ?? 0) > 0);
  if (shown.length === 0) return <span className="text-muted">none</span>;
  return (
    <ul className="flex flex-wrap gap-x-3">
      {shown.map((status) => (
        <li key={status}>
          <Link
            to="/runs"
            search={{ app_name, workflow: name, status: [status] }}
            className="inline-flex min-h-6 items-center gap-1 text-ink hover:underline"
            title={STATUSES[status].word}
          >
            <StatusShape shape={STATUSES[status].shape} token={STATUSES[status].token} label={STATUSES[status].word} />
            {counts[status]}
          </Link>
        </li>
      ))}
    </ul>
  );
}
