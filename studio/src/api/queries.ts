import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { get, path } from "./client";
import type { Query } from "./client";
import { keys } from "./keys";
import type {
  App,
  Ask,
  Checkpoint,
  Child,
  Counts,
  Delivery,
  Explanation,
  FailureGroup,
  Me,
  Metrics,
  MetricsWindow,
  Page,
  Queue,
  Run,
  RunFilter,
  Schedule,
  ScheduleDetail,
  Step,
  StoredDocument,
  Token,
  Waiting,
  Worker,
  WorkflowDetail,
  WorkflowSummary,
  Workspace,
} from "./types";

/** A page of a list by its cursor, and what came before stays on screen until it is there. */
function page<Item>(key: readonly unknown[], at: string, query: Query) {
  return queryOptions({
    queryKey: [...key, query],
    queryFn: ({ signal }) => get<Page<Item>>(at, query, signal),
    placeholderData: keepPreviousData,
  });
}

/** All pages of a list so far. */
function pages<Item>(key: readonly unknown[], at: string, query: Query) {
  return infiniteQueryOptions({
    queryKey: [...key, "pages", query],
    queryFn: ({ signal, pageParam }) => get<Page<Item>>(at, { ...query, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
  });
}

function one<Answer>(key: readonly unknown[], at: string, query?: Query) {
  return queryOptions({
    queryKey: query ? [...key, query] : key,
    queryFn: ({ signal }) => get<Answer>(at, query, signal),
  });
}

export interface Paged {
  limit?: number;
  cursor?: string | null | undefined;
}

// --- who asks

export const meQuery = () => queryOptions({ ...one<Me>(keys.me, "/me"), staleTime: Infinity, retry: false });
export const tokensQuery = (paged: Paged = {}) => page<Token>(keys.tokens, "/tokens", { ...paged });

// --- definitions

export const appsQuery = () => one<App[]>(keys.apps, "/apps");
export const workflowsQuery = (appName?: string) => one<WorkflowSummary[]>([...keys.workflows, "list"], "/workflows", { app_name: appName });
export const workflowQuery = (appName: string, name: string) =>
  one<WorkflowDetail>([...keys.workflows, "one", appName, name], path`/workflows/${appName}/${name}`);

// --- runs

export const runsQuery = (filter: RunFilter, paged: Paged = {}) =>
  page<Run>([...keys.runs, "list"], "/runs", { ...filter, ...paged, brief: true });
export const runsPagesQuery = (filter: RunFilter, limit = 50) =>
  pages<Run>([...keys.runs, "list"], "/runs", { ...filter, limit, brief: true });
export const countsQuery = (appName?: string) => one<Counts>([...keys.runs, "counts"], "/counts", { app_name: appName });
export const failuresQuery = (appName?: string) => one<FailureGroup[]>([...keys.runs, "failures"], "/failures", { app_name: appName });
export const metricsQuery = (window: MetricsWindow) => one<Metrics>([...keys.runs, "metrics"], "/metrics", { window });
export const waitingQuery = (appName?: string, limit = 50) => pages<Waiting>(keys.waiting, "/waiting", { app_name: appName, limit });

// --- one run

export const runQuery = (id: string) => one<Run>([...keys.run(id), "run"], path`/runs/${id}`);

export interface HistoryWindow {
  after?: number | undefined;
  before?: number | undefined;
  limit?: number | undefined;
  newest?: boolean | undefined;
}

export const historyQuery = (id: string, window: HistoryWindow = {}) =>
  one<Checkpoint[]>([...keys.run(id), "history"], path`/runs/${id}/history`, { ...window });

export interface DocumentsWindow {
  replaced?: boolean | undefined;
  after?: number | undefined;
  limit?: number | undefined;
  newest?: boolean | undefined;
}

export const documentsQuery = (id: string, window: DocumentsWindow = {}) =>
  one<StoredDocument[]>([...keys.run(id), "documents"], path`/runs/${id}/documents`, { ...window });
export const stepsQuery = (id: string) => one<Step[]>([...keys.run(id), "steps"], path`/runs/${id}/steps`);
export const childrenQuery = (id: string, limit = 100) => pages<Child>([...keys.run(id), "children"], path`/runs/${id}/children`, { limit });
export const explainQuery = (id: string) => one<Explanation>([...keys.run(id), "explain"], path`/runs/${id}/explain`);
export const asksQuery = (id: string) => one<Ask[]>([...keys.run(id), "asks"], path`/runs/${id}/asks`);

// --- operations

export const workspacesQuery = (query: { app_name?: string | undefined; user_id?: string | undefined } = {}, limit = 50) =>
  pages<Workspace>(keys.workspaces, "/workspaces", { ...query, limit });
export const schedulesQuery = () => one<Schedule[]>([...keys.schedules, "list"], "/schedules");
export const scheduleQuery = (appName: string, name: string) =>
  one<ScheduleDetail>([...keys.schedules, "one", appName, name], path`/schedules/${appName}/${name}`);
export const deliveriesQuery = (
  query: { app_name?: string | undefined; route?: string | undefined; status?: string | undefined } = {},
  limit = 50,
) => pages<Delivery>(keys.deliveries, "/deliveries", { ...query, limit });
export const workersQuery = () => one<Worker[]>(keys.workers, "/workers");
export const queueQuery = () => one<Queue>(keys.queue, "/queue");
