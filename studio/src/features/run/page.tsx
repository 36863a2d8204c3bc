import { Link } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { ApiError } from "@/api/problem";
import type { RunView } from "@/model/fold";
import { buttonClass } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { Pane } from "@/ui/Pane";
import { EmptyState, ErrorState, LoadingRows } from "@/ui/States";
import { code } from "@/ui/code";
import { useShortcuts } from "@/ui/shortcuts";
import { TabPanel, Tabs } from "@/ui/Tabs";
import { RunContext, route, useRunData, useRunStore } from "./data";
import { DetailsTab } from "./details/DetailsTab";
import { FeedTab } from "./feed/FeedTab";
import { RunHeader } from "./Header";
import { HistoryTab } from "./history/HistoryTab";
import { Repair } from "./repair/Repair";
import type { RunTab } from "./search";
import { Selected } from "./Selected";
import { StateTab } from "./state/StateTab";
import type { Known, RunStore } from "./store";
import { TimelineTab } from "./timeline/TimelineTab";

const Fork = lazy(code(() => import("./fork/Fork")));
const GraphTab = lazy(code(() => import("./graph/GraphTab")));

export default function Page() {
  const { workflowId } = route.useParams();
  return <RunPage key={workflowId} id={workflowId} />;
}

function RunPage({ id }: { id: string }) {
  const [store, known] = useRunStore(id);
  if (known.view) return <Opened store={store} known={known} view={known.view} />;
  if (known.error === null) return <LoadingRows rows={8} label="Loading the run" />;
  if (known.error instanceof ApiError && known.error.status === 404) {
    return (
      <>
        <PageHeader title="Run not found" />
        <EmptyState title="There is no such run" action={<Link to="/runs" className={buttonClass()}>All runs</Link>}>
          No run <code>{id}</code> is visible to you: the id may be mistyped, the run may have been deleted, or it belongs to another user. If it asks you something, the question is under <Link to="/waiting" className="prose-link">Waiting for you</Link>.
        </EmptyState>
      </>
    );
  }
  return (
    <>
      <PageHeader title="Run" />
      <ErrorState error={known.error} title="The run couldn't be loaded" onRetry={() => void store.load()} />
    </>
  );
}

const TABS: readonly { value: RunTab; label: string; key: string }[] = [
  { value: "feed", label: "Feed", key: "f" },
  { value: "timeline", label: "Timeline", key: "t" },
  { value: "graph", label: "Graph", key: "g" },
  { value: "state", label: "State", key: "s" },
  { value: "history", label: "History", key: "h" },
  { value: "details", label: "Details", key: "d" },
];

function Opened({ store, known, view }: { store: RunStore; known: Known; view: RunView }) {
  const data = useRunData(store, known, view);
  const { search, setSearch, documents, rows, selected, select, tab } = data;
  const step = (by: number) => {
    const at = selected ? rows.indexOf(selected) + by : rows.length - 1;
    const row = rows[at];
    if (row) select(row.version);
  };
  useShortcuts([
    ...TABS.map(({ value, label, key }) => ({ key, label: `Show ${label.toLowerCase()}`, run: () => { setSearch({ tab: value }); } })),
    { key: "j", label: "Next checkpoint", run: () => { step(1); } },
    { key: "k", label: "Previous checkpoint", run: () => { step(-1); } },
  ]);
  const tabs = TABS.map((one) => (one.value === "feed" ? { ...one, count: known.allDocuments && known.pastDocuments === null ? documents.filter((item) => item.replaced_at === null).length || undefined : undefined } : one));
  return (
    <RunContext value={data}>
      <RunHeader />
      <Repair />
      {known.error !== null && <ErrorState error={known.error} title="Part of this run couldn't be loaded" onRetry={() => void store.load()} />}
      {search.fork !== undefined ? (
        <Pane name="The fork" resetKey={String(search.fork)}>
          <Suspense fallback={<LoadingRows />}>
            <Fork key={search.fork} version={search.fork} />
          </Suspense>
        </Pane>
      ) : (
        <Tabs value={tab} onChange={(chosen) => { setSearch({ tab: chosen }); }} tabs={tabs} label="Views of the run">
          <Selected />
          {TABS.map(({ value, label }) => (
            <TabPanel key={value} value={value} className="pt-3">
              {value === tab && (
                <Pane name={`The tab ${label}`} resetKey={`${tab}-${String(search.at)}`}>
                  <Suspense fallback={<LoadingRows />}>
                    <Tab tab={value} />
                  </Suspense>
                </Pane>
              )}
            </TabPanel>
          ))}
        </Tabs>
      )}
    </RunContext>
  );
}

function Tab({ tab }: { tab: RunTab }) {
  switch (tab) {
    case "feed":
      return <FeedTab />;
    case "timeline":
      return <TimelineTab />;
    case "graph":
      return <GraphTab />;
    case "state":
      return <StateTab />;
    case "history":
      return <HistoryTab />;
    case "details":
      return <DetailsTab />;
  }
}
