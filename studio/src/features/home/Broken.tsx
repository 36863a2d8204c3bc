import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RotateCcw } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { failuresQuery, meQuery } from "@/api/queries";
import type { FailureGroup } from "@/api/types";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { STATUSES } from "@/model/status";
import { QueryView } from "@/ui/QueryView";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";
import { code } from "@/ui/code";
import { filterOf } from "./alike";

/** Loaded only when it is needed. */
const BulkDialog = lazy(code(() => import("@/blocks/bulk/BulkDialog").then(({ BulkDialog: found }) => ({ default: found }))));

const SHOWN = 8;

/** Failed runs, grouped by workflow and error: one line for one cause. */
export function Broken() {
  // Kept here: the group disappears while its runs are retried, and the result must still be shown.
  const [asked, setAsked] = useState<FailureGroup | null>(null);
  const close = () => { setAsked(null); };
  return (
    <>
      <QueryView query={useQuery(failuresQuery())} errorTitle="The failures couldn't be loaded">
        {(groups) =>
          groups.length === 0 ? (
            <p className="text-muted">No run has failed.</p>
          ) : (
            <>
              <ul className="divide-y rounded-md border">
                {groups.slice(0, SHOWN).map((group) => (
                  <Failure key={`${group.app_name} ${group.workflow_name} ${group.error}`} group={group} onRetry={setAsked} />
                ))}
              </ul>
              <Link to="/runs" search={{ status: ["failed"] }} className="prose-link mt-2 inline-block">
                All failed runs
              </Link>
            </>
          )
        }
      </QueryView>
      {asked && (
        <Suspense>
          <BulkDialog request={{ action: "retry", runs: null, filter: filterOf(asked) }} onClose={close} onDone={close} />
        </Suspense>
      )}
    </>
  );
}

function Failure({ group, onRetry }: { group: FailureGroup; onRetry: (group: FailureGroup) => void }) {
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
          {group.workflow_name} ({group.app_name}) · {group.subject !== null && `${group.subject} · `}last <RelativeTime at={group.last_at} />
        </div>
      </div>
      <Link
        to="/runs"
        search={filterOf(group)}
        className="prose-link shrink-0 text-xs leading-6"
        aria-label={`${runs(group.count)} of ${group.workflow_name} failed: show them`}
      >
        {runs(group.count)}
      </Link>
      <RetryAll group={group} onRetry={onRetry} />
    </li>
  );
}

/** First shows which runs would be affected: other errors may contain the same text. */
function RetryAll({ group, onRetry }: { group: FailureGroup; onRetry: (group: FailureGroup) => void }) {
  const off = actOff(useQuery(meQuery()).data);
  const verb = group.count === 1 ? "Retry…" : "Retry all…";
  return (
    <Button size="sm" off={off} icon={<RotateCcw size={12} aria-hidden />} aria-label={`${verb} ${runs(group.count)} of ${group.workflow_name}`} onClick={() => { onRetry(group); }}>
      {verb}
    </Button>
  );
}

const runs = (count: number) => (count === 1 ? "1 run" : `${String(count)} runs`);
