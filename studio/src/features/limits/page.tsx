import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { limitsQuery } from "@/api/queries";
import type { Limit } from "@/api/types";
import { Everybody } from "@/blocks/rights/Everybody";
import { Button } from "@/ui/Button";
import { Field, Input, Switch } from "@/ui/fields";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";
import { Inspector } from "./Inspector";
import { Rule } from "./Rule";
import type { LimitsSearch } from "./search";
import { atMost, heldText, limitText } from "./words";

const route = getRouteApi("/limits");
/** Slots are taken and given back without an event. */
const EVERY = 5_000;

export default function Page() {
  return (
    <Everybody title="Limits" what="Limits">
      <LimitsInUse />
    </Everybody>
  );
}

function LimitsInUse() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { limit: open, ...filter } = search;
  const limits = useInfiniteQuery({ ...limitsQuery(filter), placeholderData: keepPreviousData, refetchInterval: EVERY });
  const all = limits.data?.pages.flatMap((page) => page.items) ?? [];
  const go = (next: LimitsSearch) => void navigate({ to: "/limits", search: next, replace: true });
  const inspect = (one: Limit) => { go({ ...search, limit: one.id }); };
  return (
    <>
      <PageHeader title="Limits" description="The limits that runs hold now or wait for: one for each key. A limit that no run uses isn't listed." />
      <Filter key={search.app_name ?? ""} search={filter} onChange={go} />
      <QueryView query={limits} errorTitle="The limits couldn't be loaded">
        {() =>
          all.length === 0 ? (
            <NoLimits filter={filter} onClear={() => { go({}); }} />
          ) : (
            <DataTable label="Limits" columns={columnsOf(inspect)} rows={all} rowId={(one) => one.id} onOpen={inspect} current={open} comfortable />
          )
        }
      </QueryView>
      {limits.hasNextPage && (
        <Button className="mt-3" pending={limits.isFetchingNextPage} onClick={() => void limits.fetchNextPage()}>
          More limits
        </Button>
      )}
      {open !== undefined && <Inspector id={open} onClose={() => { go(filter); }} />}
    </>
  );
}

const columnsOf = (inspect: (limit: Limit) => void): Column<Limit>[] => [
  {
    id: "limit",
    header: "Limit",
    className: "min-w-48",
    cell: (one) => (
      <button type="button" className="prose-link min-h-6 text-left font-medium" onClick={() => { inspect(one); }}>
        {limitText(one)}
      </button>
    ),
  },
  { id: "rule", header: "Of", cell: (one) => <Rule limit={one} /> },
  { id: "key", header: "Key", className: "max-w-64 truncate", cell: (one) => <Key limit={one} /> },
  { id: "holding", header: "Held by", className: "text-right whitespace-nowrap tabular-nums", cell: (one) => heldText(one) },
  { id: "held", header: "Waiting", className: "text-right tabular-nums", cell: (one) => (one.held === 0 ? <span className="text-muted">0</span> : <span className="font-semibold">{atMost(one.held)}</span>) },
  { id: "since", header: "The first waits since", cell: (one) => <RelativeTime at={one.held_since} /> },
  { id: "opens", header: "Opens", cell: (one) => <RelativeTime at={one.opens_at} /> },
];

function Key({ limit: { key, user_id } }: { limit: Limit }) {
  if (key === null) return <span className="text-muted">one for all</span>;
  return (
    <span title={key}>
      <code>{key}</code> {user_id !== null && <span className="text-xs text-muted">of {user_id}</span>}
    </span>
  );
}

/** The app is applied on submit: names must match exactly, so an incomplete one would find nothing. */
function Filter({ search, onChange }: { search: LimitsSearch; onChange: (search: LimitsSearch) => void }) {
  const [app, setApp] = useState(search.app_name ?? "");
  return (
    <form
      role="search"
      className="mb-3 flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        onChange({ ...search, app_name: app.trim() || undefined });
      }}
    >
      <Field label="App">{(props) => <Input {...props} className="w-44" placeholder="any" value={app} onChange={(event) => { setApp(event.target.value); }} />}</Field>
      <Button type="submit">Filter</Button>
      <Switch className="min-h-8" label="Only those that hold runs back" checked={search.held ?? false} onChange={(event) => { onChange({ ...search, held: event.target.checked || undefined }); }} />
    </form>
  );
}

function NoLimits({ filter, onClear }: { filter: LimitsSearch; onClear: () => void }) {
  if (Object.values(filter).some(Boolean)) {
    return (
      <EmptyState title={filter.held ? "No limit holds a run back" : "No matching limits"} action={<Button onClick={onClear}>Show all</Button>}>
        Runs that are ready wait only for a worker.
      </EmptyState>
    );
  }
  return (
    <EmptyState title="No limit is in use">
      Declare limits on a workflow: <code>class Crawl(Workflow[Page], concurrency=Concurrency(2, key="args.host"))</code>. While runs hold or wait for one, it is listed here.
    </EmptyState>
  );
}
