import { useQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { lazy, Suspense } from "react";
import { meQuery, workflowQuery } from "@/api/queries";
import type { WorkflowDetail } from "@/api/types";
import { PauseButton } from "@/blocks/pauses/PauseButton";
import { PauseList } from "@/blocks/pauses/PauseList";
import { usePausesOf } from "@/blocks/pauses/usePauses";
import { actOff } from "@/model/rights";
import { Button, buttonClass } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { Pane } from "@/ui/Pane";
import { QueryView } from "@/ui/QueryView";
import { LoadingRows } from "@/ui/States";
import { TabPanel, Tabs } from "@/ui/Tabs";
import { code } from "@/ui/code";
import { Overview } from "./Overview";
import { SchemaTab } from "./SchemaTab";

const GraphTab = lazy(code(() => import("./GraphTab")));
const route = getRouteApi("/workflows/$app/$name");

const TABS = [
  { value: "overview", label: "Overview" },
  { value: "graph", label: "Graph" },
  { value: "schema", label: "Schema" },
] as const;

export default function Page() {
  const { app, name } = route.useParams();
  const query = useQuery(workflowQuery(app, name));
  return (
    <>
      {!query.data && <PageHeader title={name} />}
      <QueryView query={query} errorTitle={`The workflow ${name} couldn't be loaded`}>
        {(workflow) => <Workflow workflow={workflow} />}
      </QueryView>
    </>
  );
}

function Workflow({ workflow }: { workflow: WorkflowDetail }) {
  const { tab = "overview" } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <>
      <PageHeader
        title={workflow.title}
        trail={
          <Link to="/workflows" className="prose-link">
            Workflows
          </Link>
        }
        description={
          <code>
            {workflow.app_name} · {workflow.name}
          </code>
        }
        actions={
          <>
            <PauseButton choices={pausable(workflow)} />
            <Start workflow={workflow} />
          </>
        }
      />
      <PausesOf workflow={workflow} />
      <Tabs
        label={`Views of ${workflow.title}`}
        value={tab}
        tabs={TABS}
        onChange={(next) => { void navigate({ to: ".", search: { tab: next === "overview" ? undefined : next }, replace: true }); }}
      >
        <TabPanel value="overview">
          <Overview workflow={workflow} />
        </TabPanel>
        <TabPanel value="graph">
          <Pane name="The graph">
            <Suspense fallback={<LoadingRows label="Loading the graph" />}>
              <GraphTab workflow={workflow} />
            </Suspense>
          </Pane>
        </TabPanel>
        <TabPanel value="schema">
          <SchemaTab workflow={workflow} />
        </TabPanel>
      </Tabs>
    </>
  );
}

/** The workflow itself first, then what else would make its runs wait. */
const pausable = ({ app_name, name }: WorkflowDetail) => [
  { app_name, workflow: name },
  { app_name, workflow: null },
  { app_name: null, workflow: null },
];

function PausesOf({ workflow: { app_name, name } }: { workflow: WorkflowDetail }) {
  const pauses = usePausesOf(app_name, name);
  return pauses.length === 0 ? null : (
    <div className="mb-4">
      <PauseList pauses={pauses} />
    </div>
  );
}

function Start({ workflow: { app_name, name } }: { workflow: WorkflowDetail }) {
  const off = actOff(useQuery(meQuery()).data);
  const icon = <Play size={14} aria-hidden />;
  return off ? (
    <Button variant="primary" icon={icon} off={off}>
      Start
    </Button>
  ) : (
    <Link to="/workflows/$app/$name/start" params={{ app: app_name, name }} className={buttonClass("primary")}>
      {icon} Start
    </Link>
  );
}
