import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { failuresQuery } from "@/api/queries";
import type { FailureGroup } from "@/api/types";
import { STATUSES } from "@/model/status";
import { QueryView } from "@/ui/QueryView";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";

const SHOWN = 8;

/** Failed runs, grouped by workflow and error: one line for one cause. */
export function Broken() {
  return (
    <QueryView query={useQuery(failuresQuery())} errorTitle="The failures couldn't be loaded">
      {(groups) =>
        groups.length === 0 ? (
          <p className="text-muted">No run has failed.</p>
        ) : (
          <>
            <ul className="divide-y rounded-md border">
              {groups.slice(0, SHOWN).map((group) => (
                <Failure key={`${group.app_name} ${group.workflow_name} ${group.error}`} group={group} />
              ))}
            </ul>
            <Link to="/runs" search={{ status: ["failed"] }} className="prose-link mt-2 inline-block">
              All failed runs
            </Link>
          </>
        )
      }
    </QueryView>
  );
}

function Failure({ group }: { group: FailureGroup }) {
  const { shape, token } = STATUSES.failed;
  return (
    <li className="flex items-start gap-2 px-3 py-2">
      <span className="pt-1">
        <StatusShape shape={shape} token={token} />
      </span>
      <div className="min-w-0 grow">
        <Link to="/runs/$workflowId" params={{ workflowId: group.workflow_id }} className="prose-link line-clamp-2 font-medium wrap-anywhere" title={group.error}>
          {group.error}
        </Link>
        <div className="text-xs text-muted">
          {group.workflow_name} ({group.app_name}) · last <RelativeTime at={group.last_at} />
        </div>
      </div>
      <Link
        to="/runs"
        search={{ status: ["failed"], app_name: group.app_name, workflow: group.workflow_name }}
        className="prose-link shrink-0 text-xs"
        aria-label={`${runs(group.count)} of ${group.workflow_name} failed: show and retry them`}
      >
        {runs(group.count)}
      </Link>
    </li>
  );
}

const runs = (count: number) => (count === 1 ? "1 run" : `${String(count)} runs`);
