import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Columns3 } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { meQuery } from "@/api/queries";
import type { BulkAction, BulkRequest, RunFilter } from "@/api/types";
import { counted } from "@/model/actions";
import { chipsOf, filterText, parseFilter, withChip, without } from "@/model/filter";
import { parseSearch, stringifySearch } from "@/model/search";
import { useAsked } from "@/blocks/asked";
import { BulkDialog } from "@/blocks/bulk/BulkDialog";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { DataTable } from "@/ui/Table";
import { useShortcuts } from "@/ui/shortcuts";
import { BulkBar } from "./BulkBar";
import { ColumnsDialog } from "./ColumnsDialog";
import { FilterBar } from "./FilterBar";
import { NoRuns } from "./NoRuns";
import { Peek } from "./Peek";
import { StatusToggles } from "./StatusToggles";
import { ViewsMenu } from "./ViewsMenu";
import { useArrangement } from "./arrangement";
import { columnsOf } from "./columns";
import { validateSearch } from "./search";
import type { RunsSearch } from "./search";
import { useCursor } from "./useCursor";
import { useRuns } from "./useRuns";

const route = getRouteApi("/runs");
const NONE: ReadonlySet<string> = new Set();

export default function Page() {
  const search = route.useSearch();
  const { columns: said, ...filter } = search;
  const navigate = route.useNavigate();
  const me = useQuery(meQuery()).data;
  const { query, rows, fresh, showNew } = useRuns(filter);
  const asked = useAsked();
  const [shown, arrange] = useArrangement(said, (columns) => void navigate({ to: "/runs", search: (now: RunsSearch) => ({ ...now, columns }), replace: true }));
  const [arranging, setArranging] = useState(false);
  const [selected, setSelected] = useState<ReadonlySet<string>>(NONE);
  const [all, setAll] = useState(false);
  const [request, setRequest] = useState<BulkRequest | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const clear = () => {
    setSelected(NONE);
    setAll(false);
  };
  const apply = (next: RunFilter) => {
    clear();
    void navigate({ to: "/runs", search: { ...next, columns: said } });
  };
  const columns = useMemo(() => {
    const change = (to: (now: RunFilter) => RunFilter) => void navigate({ to: "/runs", search: (now: RunsSearch) => ({ ...to(now), columns: now.columns }) });
    return columnsOf(
      {
        only: (chip) => { change((now) => parseFilter(filterText(withChip(chipsOf(now).filter((one) => one.qualifier !== chip.qualifier), chip))).filter); },
        without: (status) => { change((now) => without(now, status)); },
      },
      asked,
    );
  }, [navigate, asked]);
  const select = (ids: ReadonlySet<string>) => {
    setAll(false);
    setSelected(ids);
  };
  const open = (id: string) => void navigate({ to: "/runs/$workflowId", params: { workflowId: id } });
  const cursor = useCursor(rows, { open, select: (id) => { select(toggledIn(selected, id)); } });
  useShortcuts([...cursor.keys, { key: "/", label: "Filter", run: () => { input.current?.focus(); } }]);
  const act = (action: BulkAction) => { setRequest(all ? { action, runs: null, filter: bulkFilter(filter) } : { action, runs: [...selected], filter: null }); };
  const filtered = Object.values(filter).some((value) => value !== undefined);
  return (
    <>
      <PageHeader
        title="Runs"
        actions={
          <>
            <ViewsMenu search={stringifySearch({ ...search })} onOpen={(view) => {
                clear();
                void navigate({ to: "/runs", search: validateSearch(parseSearch(view)) });
              }} />
            <Button icon={<Columns3 size={14} aria-hidden />} onClick={() => { setArranging(true); }}>
              Columns
            </Button>
          </>
        }
      />
      <StatusToggles filter={filter} onChange={apply} />
      <FilterBar filter={filter} onChange={apply} busy={query.isPlaceholderData && query.isFetching} input={input} />
      <Fresh count={fresh} onShow={showNew} />
      <QueryView query={query} errorTitle="The runs couldn't be loaded">
        {() =>
          rows.length === 0 ? (
            <NoRuns filtered={filtered} onClear={() => { apply({}); }} />
          ) : (
            <DataTable
              label="Runs"
              columns={shown.flatMap((id) => columns.find((column) => column.id === id) ?? [])}
              rows={rows}
              rowId={(run) => run.workflow_id}
              selected={all ? new Set(rows.map((run) => run.workflow_id)) : selected}
              onSelect={select}
              selectLabel={(run) => `Select ${run.subject ?? run.workflow_name} ${run.workflow_id}`}
              onOpen={(run) => { open(run.workflow_id); }}
              current={cursor.current}
            />
          )
        }
      </QueryView>
      <div className="mt-3 flex flex-wrap items-center gap-3 text-muted">
        {rows.length > 0 && <span>{counted(rows.length, "run", query.hasNextPage)}</span>}
        {query.hasNextPage && (
          <Button pending={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            Older runs
          </Button>
        )}
      </div>
      {(selected.size > 0 || all) && (
        <BulkBar me={me} rows={rows} selected={selected} all={all} more={query.hasNextPage} allOff={filter.parent_id ? "An action can't cover a whole filter by parent: select rows instead." : null} onAll={() => { setAll(true); }} onClear={clear} onAct={act} />
      )}
      {request && (
        <BulkDialog
          request={request}
          onClose={() => { setRequest(null); }}
          onDone={() => {
            setRequest(null);
            clear();
          }}
        />
      )}
      {cursor.peeked && <Peek run={cursor.peeked} answerable={asked(cursor.peeked)} onClose={cursor.close} />}
      {arranging && <ColumnsDialog columns={columns} shown={shown} onChange={arrange} onClose={() => { setArranging(false); }} />}
    </>
  );
}

/** New runs wait here, so that nothing moves under the pointer. */
function Fresh({ count, onShow }: { count: number; onShow: () => void }) {
  return (
    <div role="status" className="flex min-h-0 justify-center">
      {count > 0 && (
        <Button size="sm" className="mb-2 rounded-full" onClick={onShow}>
          {count === 1 ? "1 new run" : `${String(count)} new runs`}
        </Button>
      )}
    </div>
  );
}

function toggledIn(selected: ReadonlySet<string>, id: string): Set<string> {
  const next = new Set(selected);
  if (!next.delete(id)) next.add(id);
  return next;
}

function bulkFilter({ parent_id: _, ...filter }: RunFilter): Omit<RunFilter, "parent_id"> {
  return filter;
}
