import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { runsQuery, workflowsQuery } from "@/api/queries";
import type { Run, RunStatus, Trigger, WorkflowDetail } from "@/api/types";
import { LOOKS, endedAt, lookOf } from "@/model/status";
import { duration } from "@/model/time";
import { StatusBadge } from "@/ui/Badge";
import { CopyId, shortId } from "@/ui/Copy";
import { Markdown } from "@/ui/Markdown";
import { Facts, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { Duration, RelativeTime } from "@/ui/Time";
import { OpenRuns } from "../Open";
import { RecentStrip } from "../RecentStrip";
import { limitLines } from "./limits";
import { otherVersions } from "./versions";

export function Overview({ workflow }: { workflow: WorkflowDetail }) {
  const { app_name, name } = workflow;
  const limits = limitLines(workflow.limits);
  const summary = useQuery(workflowsQuery()).data?.find((one) => one.app_name === app_name && one.name === name);
  return (
    <div className="grid gap-x-8 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <div className="min-w-0">
        {workflow.description && <Markdown text={workflow.description} className="mb-6" />}
        <Section
          title="Recent runs"
          actions={
            <Link to="/runs" search={{ app_name, workflow: name }} className="prose-link">
              All runs
            </Link>
          }
        >
          {summary && (
            <div className="mb-2 flex flex-wrap items-center gap-x-6 gap-y-1">
              <RecentStrip recent={summary.recent} />
              <OpenRuns workflow={summary} />
            </div>
          )}
          <RecentRuns app={app_name} name={name} />
        </Section>
      </div>
      <div className="min-w-0">
        <Section title="Facts">
          <Facts
            facts={[
              ["Name", <code key="name">{name}</code>],
              ["App", app_name],
              ["Version", <Version key="version" workflow={workflow} />],
              ["Priority", workflow.priority],
              ["Time limit", workflow.run_timeout === null ? "none" : duration(workflow.run_timeout * 1000)],
              limits.length > 0 && ["Limits", <ul key="limits">{limits.map((line) => <li key={line}>{line}</li>)}</ul>],
              ["Places", workflow.places.length],
            ]}
          />
        </Section>
        <Section title="What starts it">
          <Triggers app={app_name} triggers={workflow.triggers} />
        </Section>
      </div>
    </div>
  );
}

const OPEN: readonly RunStatus[] = ["pending", "running", "waiting", "retrying", "failed"];
const LOOKED_AT = 200;

/** The version with which new runs begin, and the others with which unfinished runs began. */
function Version({ workflow: { app_name, name, version } }: { workflow: WorkflowDetail }) {
  const open = useQuery(runsQuery({ app_name, workflow: name, status: [...OPEN] }, { limit: LOOKED_AT })).data;
  const others = open ? otherVersions(open.items, version) : [];
  return (
    <>
      {version}
      {others.length > 0 && (
        <span className="block text-muted">
          {open?.next_cursor ? `Of the newest ${String(LOOKED_AT)} runs that aren't over, ` : "Of the runs that aren't over, "}
          {others.map((one) => `${String(one.runs)} began with version ${String(one.version)}`).join(", ")}.{" "}
          <Link to="/runs" search={{ app_name, workflow: name, status: [...OPEN], columns: "status,run,version,place,why,started" }} className="prose-link">
            Show them
          </Link>
        </span>
      )}
    </>
  );
}

function Triggers({ app, triggers }: { app: string; triggers: readonly Trigger[] }) {
  return (
    <ul className="list-disc pl-5">
      <li>People and code: Start, the API, the command line</li>
      {triggers.map((trigger) => (
        <li key={`${trigger.kind} ${trigger.name}`}>
          {trigger.kind === "schedule" ? (
            <>
              The schedule{" "}
              <Link to="/schedules/$app/$name" params={{ app, name: trigger.name }} className="prose-link">
                {trigger.name}
              </Link>
              : {trigger.rule}
            </>
          ) : (
            <>
              The event <code>{trigger.name}</code>
            </>
          )}
        </li>
      ))}
    </ul>
  );
}

function RecentRuns({ app, name }: { app: string; name: string }) {
  const query = useQuery(runsQuery({ app_name: app, workflow: name }, { limit: 10 }));
  return (
    <QueryView query={query} errorTitle="Its runs couldn't be loaded">
      {({ items }) =>
        items.length === 0 ? (
          <p className="text-muted">It has not run yet.</p>
        ) : (
          <DataTable label="Recent runs" columns={COLUMNS} rows={items} rowId={(run) => run.workflow_id} />
        )
      }
    </QueryView>
  );
}

const COLUMNS: readonly Column<Run>[] = [
  { id: "status", header: "Status", cell: (run) => <StatusBadge {...LOOKS[lookOf(run)]} /> },
  {
    id: "run",
    header: "Run",
    cell: (run) => (
      <CopyId id={run.workflow_id}>
        <Link to="/runs/$workflowId" params={{ workflowId: run.workflow_id }} className="prose-link max-w-72 truncate" title={run.workflow_id}>
          {run.subject ?? <code className="text-xs">{shortId(run.workflow_id)}</code>}
        </Link>
      </CopyId>
    ),
  },
  { id: "place", header: "At", cell: (run) => run.place },
  { id: "started", header: "Created", cell: (run) => <RelativeTime at={run.created_at} /> },
  { id: "took", header: "Duration", cell: (run) => <Duration from={run.created_at} to={endedAt(run)} /> },
];
