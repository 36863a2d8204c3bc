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
import { filterOf } from "./alike";

/** Only who retries needs it. */
const BulkDialog = lazy(() => import("@/blocks/bulk/BulkDialog").then(({ BulkDialog: found }) => ({ default: found })));

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
        search={filterOf(group)}
        className="prose-link shrink-0 text-xs leading-6"
        aria-label={`${runs(group.count)} of ${group.workflow_name} failed: show them`}
      >
        {runs(group.count)}
      </Link>
      <RetryAll group={group} />
    </li>
  );
}

/** Looks first at what it would hit: the errors of others may have the same words in them. */
function RetryAll({ group }: { group: FailureGroup }) {
  const off = actOff(useQuery(meQuery()).data);
  const [asked, setAsked] = useState(false);
  const close = () => { setAsked(false); };
  return (
    <>
      <Button size="sm" off={off} icon={<RotateCcw size={12} aria-hidden />} aria-label={`Retry ${runs(group.count)} of ${group.workflow_name}`} onClick={() => { setAsked(true); }}>
        Retry{group.count === 1 ? "" : " all"}…
      </Button>
      {asked && (
        <Suspense>
          <BulkDialog request={{ action: "retry", runs: null, filter: filterOf(group) }} onClose={close} onDone={close} />
        </Suspense>
      )}
    </>
  );
}

const runs = (count: number) => (count === 1 ? "1 run" : `${String(count)} runs`);
