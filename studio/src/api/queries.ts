import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { answer, api } from "./client";
import { keys } from "./keys";
import type {
  App,
  Ask,
  Batch,
  BatchFilter,
  BatchItem,
  Checkpoint,
  Child,
  ChildGroup,
  Counts,
  Delivery,
  Explanation,
  FailureGroup,
  InboxFilter,
  Limit,
  LimitDetail,
  LimitFilter,
  Me,
  Metrics,
  MetricsWindow,
  Misfit,
  Page,
  Pause,
  Question,
  Queue,
  Run,
  RunFilter,
  RunStatus,
  Schedule,
  ScheduleDetail,
  Step,
  StoredDocument,
  Taken,
  Token,
  Waiting,
  Worker,
  WorkflowDetail,
  WorkflowSummary,
  Workspace,
} from "./types";

type Call = (signal: AbortSignal) => Promise<{ data?: unknown }>;

function one<Answer>(key: readonly unknown[], call: Call) {
  return queryOptions({ queryKey: key, queryFn: ({ signal }) => answer<Answer>(call(signal)) });
}

/** A page of a list; the previous one stays on screen until it is loaded. */
function page<Item>(key: readonly unknown[], call: Call) {
  return queryOptions({ ...one<Page<Item>>(key, call), placeholderData: keepPreviousData });
}

/** All pages of a list so far. */
function pages<Item>(key: readonly unknown[], call: (cursor: string | undefined, signal: AbortSignal) => Promise<{ data?: unknown }>) {
  return infiniteQueryOptions({
    queryKey: key,
    queryFn: ({ signal, pageParam }) => answer<Page<Item>>(call(pageParam ?? undefined, signal)),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
  });
}

export interface Paged {
  limit?: number;
  cursor?: string | null | undefined;
}

// --- the caller

export const meQuery = () =>
  queryOptions({ ...one<Me>(keys.me, (signal) => api().GET("/me", { signal })), staleTime: Infinity, retry: false });
export const tokensQuery = (limit = 50) =>
  pages<Token>([...keys.tokens, { limit }], (cursor, signal) => api().GET("/tokens", { params: { query: { limit, cursor } }, signal }));

// --- definitions

export const appsQuery = () => one<App[]>(keys.apps, (signal) => api().GET("/apps", { signal }));
export const workflowsQuery = (appName?: string) => {
  const query = { app_name: appName };
  return one<WorkflowSummary[]>([...keys.workflows, "list", query], (signal) => api().GET("/workflows", { params: { query }, signal }));
};
export const workflowQuery = (appName: string, name: string) => {
  const path = { app_name: appName, workflow_name: name };
  return one<WorkflowDetail>([...keys.workflows, "one", appName, name], (signal) =>
    api().GET("/workflows/{app_name}/{workflow_name}", { params: { path }, signal }),
  );
};

// --- runs

export const runsQuery = (filter: RunFilter, paged: Paged = {}) => {
  const query = { ...filter, ...paged, brief: true };
  return page<Run>([...keys.runs, "list", query], (signal) => api().GET("/runs", { params: { query }, signal }));
};
export const runsPagesQuery = (filter: RunFilter, limit = 50) => {
  const query = { ...filter, limit, brief: true };
  return pages<Run>([...keys.runs, "list", "pages", query], (cursor, signal) =>
    api().GET("/runs", { params: { query: { ...query, cursor } }, signal }),
  );
};
export const countsQuery = (appName?: string) => {
  const query = { app_name: appName };
  return one<Counts>([...keys.runs, "counts", query], (signal) => api().GET("/counts", { params: { query }, signal }));
};
export const failuresQuery = (appName?: string) => {
  const query = { app_name: appName };
  return one<FailureGroup[]>([...keys.runs, "failures", query], (signal) => api().GET("/failures", { params: { query }, signal }));
};
export const metricsQuery = (window: MetricsWindow) =>
  one<Metrics>([...keys.runs, "metrics", { window }], (signal) => api().GET("/metrics", { params: { query: { window } }, signal }));
export const waitingQuery = (appName?: string, limit = 50) => {
  const query = { app_name: appName, limit };
  return pages<Waiting>([...keys.waiting, "pages", query], (cursor, signal) =>
    api().GET("/waiting", { params: { query: { ...query, cursor } }, signal }),
  );
};
/** Most urgent first. */
export const inboxQuery = (filter: InboxFilter = {}, limit = 50) => {
  const query = { ...filter, limit };
  return pages<Question>([...keys.inbox, query], (cursor, signal) => api().GET("/inbox", { params: { query: { ...query, cursor } }, signal }));
};

// --- batches and groups

export const batchesQuery = (filter: BatchFilter = {}, limit = 50) =>
  pages<Batch>([...keys.batches, "list", { ...filter, limit }], (cursor, signal) =>
    api().GET("/batches", { params: { query: { ...filter, limit, cursor } }, signal }),
  );
export const batchQuery = (id: string) =>
  one<Batch>([...keys.batches, "one", id], (signal) => api().GET("/batches/{batch_id}", { params: { path: { batch_id: id } }, signal }));
export const batchItemsQuery = (id: string, status?: RunStatus, limit = 50) =>
  pages<BatchItem>([...keys.batchItems(id), { status, limit }], (cursor, signal) =>
    api().GET("/batches/{batch_id}/items", { params: { path: { batch_id: id }, query: { status, limit, cursor } }, signal }),
  );

// --- one run

const of = (id: string) => ({ workflow_id: id });

export const runQuery = (id: string) =>
  one<Run>([...keys.run(id), "run"], (signal) => api().GET("/runs/{workflow_id}", { params: { path: of(id) }, signal }));

export interface HistoryWindow {
  after?: number | undefined;
  before?: number | undefined;
  limit?: number | undefined;
  newest?: boolean | undefined;
}

export const historyQuery = (id: string, window: HistoryWindow = {}) =>
  one<Checkpoint[]>([...keys.run(id), "history", window], (signal) =>
    api().GET("/runs/{workflow_id}/history", { params: { path: of(id), query: window }, signal }),
  );

export interface DocumentsWindow {
  replaced?: boolean | undefined;
  after?: number | undefined;
  /** The id of a document: those in front of it. */
  before?: string | undefined;
  limit?: number | undefined;
  newest?: boolean | undefined;
}

export const documentsQuery = (id: string, window: DocumentsWindow = {}) =>
  one<StoredDocument[]>([...keys.run(id), "documents", window], (signal) =>
    api().GET("/runs/{workflow_id}/documents", { params: { path: of(id), query: window }, signal }),
  );
export const stepsQuery = (id: string) =>
  one<Step[]>([...keys.run(id), "steps"], (signal) => api().GET("/runs/{workflow_id}/steps", { params: { path: of(id) }, signal }));
export const childrenQuery = (id: string, limit = 100) =>
  pages<Child>([...keys.run(id), "children", { limit }], (cursor, signal) =>
    api().GET("/runs/{workflow_id}/children", { params: { path: of(id), query: { limit, cursor } }, signal }),
  );
export const runGroupsQuery = (id: string) =>
  one<ChildGroup[]>([...keys.groups, "of", id], (signal) => api().GET("/runs/{workflow_id}/groups", { params: { path: of(id) }, signal }));
export const explainQuery = (id: string) =>
  one<Explanation>([...keys.run(id), "explain"], (signal) => api().GET("/runs/{workflow_id}/explain", { params: { path: of(id) }, signal }));
export const asksQuery = (id: string) =>
  one<Ask[]>([...keys.run(id), "asks"], (signal) => api().GET("/runs/{workflow_id}/asks", { params: { path: of(id) }, signal }));
/** null: it didn't fail with a signal. */
export const takenQuery = (id: string) =>
  one<Taken | null>([...keys.run(id), "taken"], (signal) => api().GET("/runs/{workflow_id}/taken", { params: { path: of(id) }, signal }));

// --- pauses and limits

export const pausesQuery = () => one<Pause[]>(keys.pauses, (signal) => api().GET("/pauses", { signal }));
export const limitsQuery = (filter: LimitFilter = {}, limit = 50) =>
  pages<Limit>([...keys.limits, "list", { ...filter, limit }], (cursor, signal) =>
    api().GET("/limits", { params: { query: { ...filter, limit, cursor } }, signal }),
  );
export const limitQuery = (id: string) =>
  one<LimitDetail>([...keys.limits, "one", id], (signal) => api().GET("/limits/detail", { params: { query: { id } }, signal }));

// --- operations

export const workspacesQuery = (query: { app_name?: string | undefined; user_id?: string | undefined } = {}, limit = 50) =>
  pages<Workspace>([...keys.workspaces, { ...query, limit }], (cursor, signal) =>
    api().GET("/workspaces", { params: { query: { ...query, limit, cursor } }, signal }),
  );
/** Of those that were made at run time, the newest are shown; declared ones all. */
export const MOST_SCHEDULES = 1000;
export const schedulesQuery = () => one<Schedule[]>([...keys.schedules, "list"], (signal) => api().GET("/schedules", { params: { query: { limit: MOST_SCHEDULES } }, signal }));
/** `user`: of one that was made at run time. */
export const scheduleQuery = (appName: string, name: string, user?: string) =>
  one<ScheduleDetail>([...keys.schedules, "one", appName, name, user ?? null], (signal) =>
    api().GET("/schedules/{app_name}/{name}", { params: { path: { app_name: appName, name }, query: { user_id: user } }, signal }),
  );

export interface DeliveryFilter {
  app_name?: string | undefined;
  route?: string | undefined;
  status?: Delivery["status"] | undefined;
}

export const deliveriesQuery = (filter: DeliveryFilter = {}, limit = 50) =>
  pages<Delivery>([...keys.deliveries, { ...filter, limit }], (cursor, signal) =>
    api().GET("/deliveries", { params: { query: { ...filter, limit, cursor } }, signal }),
  );
export const workersQuery = () => one<Worker[]>(keys.workers, (signal) => api().GET("/workers", { signal }));
export const queueQuery = () => one<Queue>(keys.queue, (signal) => api().GET("/queue", { signal }));
/** Each page checks about a thousand runs in flight. */
export const misfitsQuery = () => ({
  ...pages<Misfit>(keys.misfits, (cursor, signal) => api().GET("/misfits", { params: { query: { cursor } }, signal })),
  staleTime: 60_000,
  refetchOnWindowFocus: false,
});
