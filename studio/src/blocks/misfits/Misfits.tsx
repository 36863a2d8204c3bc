import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Unplug } from "lucide-react";
import { misfitsQuery } from "@/api/queries";
import type { Misfit, RunStatus } from "@/api/types";
import { counted } from "@/model/actions";
import { keyOf, together } from "@/model/misfits";
import { Button } from "@/ui/Button";
import { Section } from "@/ui/Page";
import { ErrorState } from "@/ui/States";

const IN_FLIGHT: RunStatus[] = ["pending", "running", "waiting", "retrying", "failed"];

/** Runs in flight that this server's code can't carry on, why, and what mends it. Empty while it knows of none. */
export function Misfits() {
  const query = useInfiniteQuery(misfitsQuery());
  const found = together(query.data?.pages ?? []);
  const more = query.hasNextPage;
  if (query.error === null && found.length === 0 && !more) return null;
  return (
    <Section title="Runs that this code can't carry on">
      {query.error && <ErrorState error={query.error} title="The runs couldn't be checked against the code" onRetry={() => void query.refetch()} />}
      {found.length > 0 && (
        <ul className="divide-y rounded-md border">
          {found.map((one) => (
            <Kind key={keyOf(one)} misfit={one} />
          ))}
        </ul>
      )}
      {more && (
        <p className="mt-2 flex flex-wrap items-center gap-2 text-muted">
          {found.length === 0 ? "Each run that was checked fits." : "Not all runs have been checked yet."}
          <Button size="sm" pending={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            Check more runs
          </Button>
        </p>
      )}
    </Section>
  );
}

function Kind({ misfit: { app_name: app, workflow, workflow_version: version, place, runs, reason, example } }: { misfit: Misfit }) {
  return (
    <li className="flex items-start gap-2 px-3 py-2">
      <Unplug size={14} aria-hidden className="mt-1 shrink-0 text-failed" />
      <div className="min-w-0">
        <p>
          <Link to="/runs" search={{ app_name: app, workflow, place, status: IN_FLIGHT }} className="prose-link">
            {counted(runs, "run")} of {workflow}
          </Link>{" "}
          of version {version} at <code>{place}</code> {runs === 1 ? "stays as it is" : "stay as they are"}.
        </p>
        <p className="text-xs wrap-anywhere text-muted">{reason}</p>
        <p className="text-xs">
          <Link to="/runs/$workflowId" params={{ workflowId: example }} search={{ tab: "details" }} className="prose-link" title={example}>
            Show one of them
          </Link>
        </p>
      </div>
    </li>
  );
}
