import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { batchesQuery } from "@/api/queries";
import type { Batch, BatchFilter } from "@/api/types";
import { ProgressBar } from "@/blocks/progress/ProgressBar";
import { endedText, grouped, leftText, rateText } from "@/model/progress";
import { Button } from "@/ui/Button";
import { shortId } from "@/ui/Copy";
import { Field, Input } from "@/ui/fields";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import { BatchStatus } from "./BatchStatus";

const route = getRouteApi("/batches");
/** Runs have events; that a batch of other processes' runs begins has none. */
const EVERY = 10_000;
const SOON = 5_000;

export default function Page() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const batches = useInfiniteQuery({
    ...batchesQuery(search),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => (state.data?.pages.some((page) => page.items.some((one) => one.status === "running")) ? SOON : EVERY),
  });
  const all = batches.data?.pages.flatMap((page) => page.items) ?? [];
  const go = (next: BatchFilter) => void navigate({ to: "/batches", search: next, replace: true });
  return (
    <>
      <PageHeader title="Batches" description="Many runs that were started together." />
      <Filter key={`${search.app_name ?? ""}/${search.user_id ?? ""}`} search={search} onChange={go} />
      <QueryView query={batches} errorTitle="The batches couldn't be loaded">
        {() => (all.length === 0 ? <NoBatches filtered={Object.values(search).some(Boolean)} onClear={() => { go({}); }} /> : <DataTable label="Batches" columns={COLUMNS} rows={all} rowId={(one) => one.batch_id} comfortable />)}
      </QueryView>
      {batches.hasNextPage && (
        <Button className="mt-3" pending={batches.isFetchingNextPage} onClick={() => void batches.fetchNextPage()}>
          Older batches
        </Button>
      )}
    </>
  );
}

const COLUMNS: readonly Column<Batch>[] = [
  { id: "status", header: "Status", cell: (one) => <BatchStatus batch={one} /> },
  { id: "batch", header: "Batch", className: "min-w-40", cell: (one) => <Name batch={one} /> },
  { id: "progress", header: "Progress", className: "min-w-44", cell: (one) => <Progress batch={one} /> },
  { id: "failed", header: "Failed", className: "text-right", cell: (one) => <Failed batch={one} /> },
  { id: "rate", header: "Rate", className: "whitespace-nowrap", cell: (one) => <Rate batch={one} /> },
  { id: "left", header: "Time left", className: "whitespace-nowrap", cell: (one) => <Left batch={one} /> },
  { id: "user", header: "User", cell: (one) => one.user_id },
  { id: "started", header: "Started", cell: (one) => <RelativeTime at={one.created_at} /> },
];

function Name({ batch: { batch_id, label, app_name, workflow_name } }: { batch: Batch }) {
  return (
    <div>
      <Link to="/batches/$batchId" params={{ batchId: batch_id }} className="prose-link font-medium wrap-anywhere" title={batch_id}>
        {label ?? shortId(batch_id)}
      </Link>
      <div className="text-xs text-muted">
        {app_name} · {workflow_name ?? "several workflows"}
      </div>
    </div>
  );
}

function Progress({ batch: { batch_id, label, progress } }: { batch: Batch }) {
  return (
    <div>
      <ProgressBar progress={progress} label={`Progress of ${label ?? shortId(batch_id)}`} />
      <div className="text-xs text-muted tabular-nums">{endedText(progress)}</div>
    </div>
  );
}

function Failed({ batch: { batch_id, progress } }: { batch: Batch }) {
  if (progress.failed === 0) return <span className="text-muted">0</span>;
  return (
    <Link to="/batches/$batchId" params={{ batchId: batch_id }} search={{ status: "failed" }} className="prose-link" aria-label={`${grouped(progress.failed)} failed: show them`}>
      {grouped(progress.failed)}
    </Link>
  );
}

function Rate({ batch }: { batch: Batch }) {
  return batch.status === "running" ? rateText(batch.progress) : <span className="text-muted">–</span>;
}

function Left({ batch }: { batch: Batch }) {
  const now = useNow();
  return batch.status === "running" ? leftText(batch.progress, now) : <span className="text-muted">–</span>;
}

/** Applied on submit: names must match exactly, so an incomplete one would find nothing. */
function Filter({ search, onChange }: { search: BatchFilter; onChange: (search: BatchFilter) => void }) {
  const [app, setApp] = useState(search.app_name ?? "");
  const [user, setUser] = useState(search.user_id ?? "");
  return (
    <form
      role="search"
      className="mb-3 flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        onChange({ app_name: app.trim() || undefined, user_id: user.trim() || undefined });
      }}
    >
      <Field label="App">{(props) => <Input {...props} className="w-44" placeholder="any" value={app} onChange={(event) => { setApp(event.target.value); }} />}</Field>
      <Field label="User">{(props) => <Input {...props} className="w-44" placeholder="any" value={user} onChange={(event) => { setUser(event.target.value); }} />}</Field>
      <Button type="submit">Filter</Button>
    </form>
  );
}

function NoBatches({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered) return <EmptyState title="No matching batches" action={<Button onClick={onClear}>Clear the filters</Button>} />;
  return (
    <EmptyState title="No batches yet">
      Start many runs at once: <code>await runner.run_batch(starts, app_name="orders", user_id="ada")</code>, or <code>stepwell batch ProcessOrder args.ndjson --app orders</code>.
    </EmptyState>
  );
}
