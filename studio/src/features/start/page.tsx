import { useQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { runQuery, workflowQuery } from "@/api/queries";
import type { Json, WorkflowDetail } from "@/api/types";
import { Button } from "@/ui/Button";
import { shortId } from "@/ui/Copy";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { ErrorState, LoadingRows } from "@/ui/States";
import { remembered } from "./last";
import { StartForm } from "./StartForm";

const route = getRouteApi("/workflows/$app/$name/start");

export default function Page() {
  const { app, name } = route.useParams();
  const query = useQuery(workflowQuery(app, name));
  return (
    <>
      {!query.data && <PageHeader title={`Start ${name}`} />}
      <QueryView query={query} errorTitle={`The workflow ${name} couldn't be loaded`}>
        {(workflow) => (
          <>
            <PageHeader
              title={`Start ${workflow.title}`}
              trail={
                <Link to="/workflows/$app/$name" params={{ app, name }} className="prose-link">
                  {workflow.title}
                </Link>
              }
              description={workflow.description.split("\n\n")[0]}
            />
            {/* Another workflow is another form. */}
            <Filled key={`${app} ${name}`} workflow={workflow} />
          </>
        )}
      </QueryView>
    </>
  );
}

/** The initial values, by precedence: the address, the run that is started again, an earlier choice here, the defaults. */
function Filled({ workflow }: { workflow: WorkflowDetail }) {
  const { from, args } = route.useSearch();
  const [last] = useState(() => remembered(workflow.app_name, workflow.name));
  const [useLast, setUseLast] = useState(false);
  const run = useQuery({ ...runQuery(from ?? ""), enabled: from !== undefined && args === undefined });
  if (args !== undefined) {
    const value = parsed(args);
    return value === undefined ? <ErrorState error={new Error("The link's args aren't JSON.")} title="The form can't be filled in" /> : <StartForm workflow={workflow} source={`url-${args}`} initial={value} />;
  }
  if (from !== undefined) {
    if (run.error) return <ErrorState error={run.error} title="The run to start again couldn't be loaded" onRetry={() => void run.refetch()} />;
    if (!run.data) return <LoadingRows rows={4} label="Loading the run to start again" />;
    return (
      <>
        <p className="mb-4 text-muted">
          Filled in from the run{" "}
          <Link to="/runs/$workflowId" params={{ workflowId: from }} className="prose-link font-mono text-xs">
            {shortId(from)}
          </Link>
          {run.data.workflow_version !== workflow.version && `, which ran version ${String(run.data.workflow_version)}; this is version ${String(workflow.version)}`}.
        </p>
        <StartForm workflow={workflow} source={from} initial={run.data.args} />
      </>
    );
  }
  const offered = workflow.args !== null && last !== undefined && !useLast;
  return (
    <>
      {offered && (
        <Button className="mb-4" onClick={() => { setUseLast(true); }}>
          Fill in what you started last
        </Button>
      )}
      <StartForm workflow={workflow} source={useLast ? "last" : "new"} initial={useLast ? last : undefined} />
    </>
  );
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined; // an incomplete link
  }
}
