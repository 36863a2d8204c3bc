import { useQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { meQuery, workflowsQuery } from "@/api/queries";
import type { WorkflowSummary } from "@/api/types";
import { actOff } from "@/model/rights";
import { duration } from "@/model/time";
import { Button, buttonClass } from "@/ui/Button";
import { CodeBlock } from "@/ui/CodeBlock";
import { Input, Select } from "@/ui/fields";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { useShortcuts } from "@/ui/shortcuts";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { OpenRuns } from "./Open";
import { matching, median } from "./outcomes";
import { RecentStrip } from "./RecentStrip";

const route = getRouteApi("/workflows");

export default function Page() {
  return (
    <>
      <PageHeader title="Workflows" description="The workflows that this server can run." />
      <QueryView query={useQuery(workflowsQuery())} errorTitle="The workflows couldn't be loaded">
        {(workflows) => (workflows.length === 0 ? <None /> : <Workflows workflows={workflows} />)}
      </QueryView>
    </>
  );
}

function Workflows({ workflows }: { workflows: readonly WorkflowSummary[] }) {
  const { q, app_name } = route.useSearch();
  const navigate = route.useNavigate();
  const off = actOff(useQuery(meQuery()).data);
  useShortcuts([{ key: "/", label: "Search workflows", run: () => { document.getElementById("workflows-q")?.focus(); } }]);
  const shown = matching(workflows, q, app_name);
  const apps = [...new Set(workflows.map((one) => one.app_name))].sort();
  const columns: Column<WorkflowSummary>[] = [
    { id: "name", header: "Workflow", className: "min-w-48", cell: (one) => <Name workflow={one} /> },
    { id: "recent", header: "Last runs", cell: (one) => <RecentStrip recent={one.recent} /> },
    { id: "open", header: "Open", cell: (one) => <OpenRuns workflow={one} /> },
    { id: "version", header: "Version", cell: (one) => one.version },
    { id: "took", header: "Median", className: "whitespace-nowrap", cell: (one) => <Took workflow={one} /> },
    { id: "start", header: "Start", className: "text-right", cell: (one) => <Start workflow={one} off={off} /> },
  ];
  return (
    <>
      <search className="mb-3 flex flex-wrap gap-2">
        <Input
          id="workflows-q"
          type="search"
          aria-label="Search workflows"
          placeholder="Name or description"
          className="max-w-72"
          value={q ?? ""}
          onChange={(event) => { void navigate({ to: "/workflows", search: { q: event.target.value || undefined, app_name }, replace: true }); }}
        />
        {apps.length > 1 && (
          <Select
            aria-label="App"
            className="w-auto"
            value={app_name ?? ""}
            onChange={(event) => { void navigate({ to: "/workflows", search: { q, app_name: event.target.value || undefined } }); }}
          >
            <option value="">All apps</option>
            {apps.map((app) => (
              <option key={app}>{app}</option>
            ))}
          </Select>
        )}
      </search>
      {shown.length > 0 ? (
        <DataTable label="Workflows" columns={columns} rows={shown} rowId={(one) => `${one.app_name}/${one.name}`} comfortable />
      ) : (
        <EmptyState title="No matching workflows" action={<Button onClick={() => { void navigate({ to: "/workflows", search: {} }); }}>Show all</Button>} />
      )}
    </>
  );
}

function Name({ workflow: { app_name, name, title, description } }: { workflow: WorkflowSummary }) {
  return (
    <div className="max-w-md py-1">
      <Link to="/workflows/$app/$name" params={{ app: app_name, name }} className="prose-link font-medium">
        {title}
      </Link>{" "}
      <span className="text-xs text-muted">
        {app_name} · {name}
      </span>
      <p className="line-clamp-2 text-xs text-muted">{description.split("\n\n")[0]}</p>
    </div>
  );
}

function Took({ workflow }: { workflow: WorkflowSummary }) {
  const half = median(workflow.recent);
  return <span className="text-muted">{half === null ? "–" : duration(half)}</span>;
}

function Start({ workflow: { app_name, name, title }, off }: { workflow: WorkflowSummary; off: string | null }) {
  const icon = <Play size={12} aria-hidden />;
  if (off) {
    return (
      <Button size="sm" off={off} icon={icon} aria-label={`Start ${title}`}>
        Start
      </Button>
    );
  }
  return (
    <Link to="/workflows/$app/$name/start" params={{ app: app_name, name }} className={buttonClass("secondary", "sm")} aria-label={`Start ${title}`}>
      {icon} Start
    </Link>
  );
}

function None() {
  return (
    <EmptyState title="No workflow is registered in this process">
      <p className="mb-3">Make one, and give it to an App of your Stepwell; it appears here when the server restarts.</p>
      <CodeBlock label="Command that makes an application with a workflow" code={"stepwell new my_app\nstepwell dev my_app.app:stepwell"} className="text-left" />
    </EmptyState>
  );
}
