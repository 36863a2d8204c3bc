/** The data that all parts of a run's page share: the view, the definition, the questions, the children, and the selection. */
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { createContext, useCallback, useContext, useEffect, useEffectEvent, useMemo, useState, useSyncExternalStore } from "react";
import { keys } from "@/api/keys";
import { asksQuery, childrenQuery, meQuery, workflowQuery } from "@/api/queries";
import type { Ask, Checkpoint, Child, Me, Run, StoredDocument, WorkflowDetail } from "@/api/types";
import type { RunView } from "@/model/fold";
import { useLiveEvents, useLiveStatus } from "@/stream/live";
import { isFinished } from "@/model/status";
import type { RunSearch, RunTab } from "./search";
import { shownDocuments } from "./past";
import { type Known, RunStore } from "./store";

export const route = getRouteApi("/runs/$workflowId");

export interface RunPageData {
  store: RunStore;
  known: Known;
  view: RunView;
  run: Run;
  /** The loaded part of the history: mostly its newest end. */
  rows: readonly Checkpoint[];
  documents: readonly StoredDocument[];
  /** More happened after the last of `rows` than is shown. */
  later: boolean;
  /** null while it isn't loaded, and for runs whose code no longer exists. */
  definition: WorkflowDetail | null;
  asks: readonly Ask[];
  /** Names of the transitions that a person may answer now. */
  answerable: readonly string[];
  children: readonly Child[];
  moreChildren: (() => void) | null;
  me: Me | null;
  /** The row that all tabs show: from the address, else the failing one of a failed run. */
  selected: Checkpoint | null;
  select: (version: number | undefined, tab?: RunTab) => void;
  search: RunSearch;
  /** The tab that is shown, by the address or by default. */
  tab: RunTab;
  setSearch: (change: Partial<RunSearch>) => void;
}

export const RunContext = createContext<RunPageData | null>(null);

export function useRunPage(): RunPageData {
  const data = useContext(RunContext);
  if (!data) throw new Error("Only for parts of a run's page.");
  return data;
}

/** The store of one run, open while the page is. */
export function useRunStore(id: string): [RunStore, Known] {
  const client = useQueryClient();
  const [store] = useState(() => new RunStore(id, client));
  useEffect(() => store.open(), [store]);
  const live = useLiveStatus();
  useLiveEvents((events) => { store.hint(events, live); });
  return [store, useSyncExternalStore(store.subscribe, store.get)];
}

export function useRunData(store: RunStore, known: Known, view: RunView): RunPageData {
  const { run } = view;
  const rows = known.pastRows ?? view.rows;
  const documents = useMemo(() => shownDocuments({ view, pastDocuments: known.pastDocuments }), [view, known.pastDocuments]);
  const workflowId = run.workflow_id;
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const definition = useQuery({ ...workflowQuery(run.app_name, run.workflow_name), staleTime: 60_000 });
  const me = useQuery(meQuery());
  const asks = useAsks(run);
  const children = useInfiniteQuery(childrenQuery(run.workflow_id));
  const { fetchNextPage, hasNextPage } = children;
  const list = useMemo(() => (children.data?.pages ?? []).flatMap((page) => page.items), [children.data]);
  const at = search.at ?? (run.status === "failed" ? lastFailure(view.rows) : undefined);
  useRowOfAddress(store, search.fork ?? search.at, (version) => version >= 0 && version <= view.version && !rows.some((row) => row.version === version));
  const setSearch = useCallback(
    (change: Partial<RunSearch>) =>
      void navigate({
        to: "/runs/$workflowId",
        params: { workflowId },
        search: (before: RunSearch) => ({ ...before, ...change }),
        // The browser's Back leads to the previous tab, not through every selected row.
        replace: change.tab === undefined && change.fork === undefined,
        resetScroll: false,
      }),
    [navigate, workflowId],
  );
  const select = useCallback(
    (version: number | undefined, tab?: RunTab) => { setSearch({ at: version, ...(tab ? { tab } : {}) }); },
    [setSearch],
  );
  return {
    store,
    known,
    view,
    run,
    rows,
    documents,
    later: known.pastRows !== null,
    definition: definition.data ?? null,
    asks: asks ?? NOTHING,
    answerable: useMemo(() => namesOf(asks, run), [asks, run]),
    children: list,
    moreChildren: hasNextPage ? () => void fetchNextPage() : null,
    me: me.data ?? null,
    selected: at === undefined ? null : (rows.find((row) => row.version === at) ?? null),
    select,
    search,
    tab: search.tab ?? (documents.length > 0 || (asks ?? NOTHING).length > 0 ? "feed" : "timeline"),
    setSearch,
  };
}

/** A link may name any row of a long history: it is fetched with the rows around it, once for each address. */
function useRowOfAddress(store: RunStore, at: number | undefined, missing: (version: number) => boolean): void {
  const fetch = useEffectEvent((version: number) => {
    if (missing(version)) void store.rowsAround(version);
  });
  useEffect(() => {
    if (at !== undefined) fetch(at);
  }, [at, store]);
}

function lastFailure(rows: readonly Checkpoint[]): number | undefined {
  return rows.findLast((row) => row.status === "failed")?.version;
}

const NOTHING: readonly Ask[] = [];

/** While the questions aren't known yet, all transitions that the run waits for count. */
function namesOf(asks: readonly Ask[] | null, run: Run): readonly string[] {
  return asks === null ? run.waiting_for : asks.map((ask) => ask.transition);
}

/** Refetched whenever the run moves; until the answer arrives, the previous questions of the same place are used. */
function useAsks(run: Run): readonly Ask[] | null {
  const may = run.waiting_for.length > 0 && !isFinished(run.status) && run.status !== "failed";
  const asks = useQuery({
    ...asksQuery(run.workflow_id),
    queryKey: [...keys.run(run.workflow_id), "asks", run.place, run.version],
    enabled: may,
    placeholderData: (before: Ask[] | undefined, query) => (query?.queryKey[3] === run.place ? before : undefined),
  });
  return may ? (asks.data ?? null) : NOTHING;
}
