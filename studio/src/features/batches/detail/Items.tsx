import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { batchItemsQuery } from "@/api/queries";
import type { Batch, BatchItem, RunStatus } from "@/api/types";
import { STANDING_LOOKS, countsText } from "@/model/progress";
import { brief } from "@/model/why";
import { StatusBadge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { shortId } from "@/ui/Copy";
import { Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";

const route = getRouteApi("/batches/$batchId");
const EVERY = 5_000;
/** All loaded pages are fetched again, one after the other: whoever has loaded many looks at what was, not at what changes. */
const FEW = 2;

/** The runs of a batch in the order of its starts, or those of a status. */
export function Items({ batch, status }: { batch: Batch; status: RunStatus | undefined }) {
  const running = batch.status === "running";
  const items = batchItemsQuery(batch.batch_id, status);
  const query = useInfiniteQuery({
    ...items,
    // What came last is fetched too, although it came after the last poll.
    queryKey: [...items.queryKey, running ? "running" : countsText(batch.progress)],
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => (running && (state.data?.pages.length ?? 0) <= FEW ? EVERY : false),
  });
  const all = query.data?.pages.flatMap((page) => page.items) ?? [];
  const navigate = route.useNavigate();
  const clear = () => void navigate({ to: ".", search: {}, replace: true });
  const word = status && STANDING_LOOKS[status].word;
  return (
    <Section
      title={word ? `Runs: ${word.toLowerCase()}` : "Runs"}
      actions={
        status && (
          <Button size="sm" onClick={clear}>
            Show all
          </Button>
        )
      }
    >
      <QueryView query={query} errorTitle="The runs of the batch couldn't be loaded">
        {() => (all.length === 0 ? <NoItems word={word} onClear={clear} /> : <DataTable label="Runs of the batch" columns={COLUMNS} rows={all} rowId={(item) => item.workflow_id} />)}
      </QueryView>
      {query.hasNextPage && (
        <Button className="mt-3" pending={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          More runs
        </Button>
      )}
    </Section>
  );
}

const COLUMNS: readonly Column<BatchItem>[] = [
  { id: "index", header: "Index", className: "w-16 text-right text-muted tabular-nums", cell: (item) => item.index },
  { id: "status", header: "Status", cell: (item) => <StatusBadge {...STANDING_LOOKS[item.status]} filled={false} /> },
  { id: "run", header: "Run", cell: (item) => <RunLink item={item} /> },
  { id: "outcome", header: "Outcome", className: "max-w-96 truncate", cell: (item) => <Outcome item={item} /> },
];

export function RunLink({ item }: { item: BatchItem }) {
  return (
    <Link to="/runs/$workflowId" params={{ workflowId: item.workflow_id }} className="prose-link font-mono text-xs" title={item.workflow_id}>
      {shortId(item.workflow_id)}
    </Link>
  );
}

const MOST = 200;

function Outcome({ item: { error, result } }: { item: BatchItem }) {
  if (error !== null) {
    return (
      <span className="text-failed" title={error}>
        {brief(error)}
      </span>
    );
  }
  return result === null ? "" : <code>{JSON.stringify(result).slice(0, MOST)}</code>;
}

function NoItems({ word, onClear }: { word: string | undefined; onClear: () => void }) {
  if (word === undefined) return <EmptyState title="The batch has no runs">It was started with none, so it ended at once.</EmptyState>;
  return <EmptyState title={`No run of the batch is ${word.toLowerCase()} now`} action={<Button onClick={onClear}>Show all</Button>} />;
}
