/** Updates TanStack Query's cache from the stream: loaded rows change in place, the rest is refetched, at a limited rate. */
import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { keys } from "@/api/keys";
import type { CheckpointEvent, Page, Run } from "@/api/types";
import { Throttle, type Timers } from "./throttle";

/** Lists and counts are refetched at most once a second, expensive queries less often. */
export const SOON = 1_000;
export const LATER = 5_000;

/** A query with this meta is updated in place only: a table whose rows must not move under the pointer. */
export interface LiveMeta {
  live?: "in-place";
}

const SOON_KEYS = [[...keys.runs, "list"], [...keys.runs, "counts"], keys.waiting, keys.inbox];
const LATER_KEYS = [[...keys.runs, "failures"], [...keys.runs, "metrics"], keys.batches, keys.groups, keys.workflows, keys.queue, keys.workers];

export class Bridge {
  #client: QueryClient;
  #soon: Throttle;
  #later: Throttle;
  readonly #moved = new Set<string>();

  constructor(client: QueryClient, timers: Timers) {
    this.#client = client;
    this.#soon = new Throttle(() => { this.#again(SOON_KEYS); }, SOON, timers);
    this.#later = new Throttle(() => { this.#again(LATER_KEYS); }, LATER, timers);
  }

  /** Puts the events into the cache, and schedules a refetch of everything else that they may affect. */
  events(events: readonly CheckpointEvent[]): void {
    const newest = newestOf(events);
    this.#client.setQueriesData<unknown>({ queryKey: keys.runs }, (data: unknown) => withRuns(data, newest));
    for (const run of newest.values()) {
      this.#moved.add(run.workflow_id);
      // A parent's page shows its children.
      if (run.parent_id) this.#moved.add(run.parent_id);
    }
    this.#soon.wish();
    this.#later.wish();
  }

  /** Refetches everything that is shown. */
  resync(): void {
    void this.#client.invalidateQueries();
  }

  stop(): void {
    this.#soon.stop();
    this.#later.stop();
  }

  #again(roots: readonly (readonly unknown[])[]): void {
    for (const queryKey of roots) {
      void this.#client.invalidateQueries({
        queryKey,
        predicate: (query) => (query.meta as LiveMeta | undefined)?.live !== "in-place",
      });
    }
    if (roots !== SOON_KEYS) return;
    for (const id of this.#moved) void this.#client.invalidateQueries({ queryKey: keys.run(id), predicate: isLive });
    this.#moved.clear();
  }
}

const isLive = (query: { meta?: Record<string, unknown> | undefined }) => query.meta?.live !== "in-place";

export function newestOf(events: readonly CheckpointEvent[]): Map<string, Run> {
  const newest = new Map<string, Run>();
  for (const { run } of events) {
    const known = newest.get(run.workflow_id);
    if (!known || isLater(known, run)) newest.set(run.workflow_id, run);
  }
  return newest;
}

function isLater(known: Run, heard: Run): boolean {
  return heard.version > known.version || (heard.version === known.version && heard.updated_at >= known.updated_at);
}

/** The same object if none of the runs is in it: then nothing is rendered again. */
export function withRuns(data: unknown, newest: ReadonlyMap<string, Run>): unknown {
  if (isInfinite(data)) {
    const pages = data.pages.map((page) => withRunsOfPage(page, newest));
    return pages.some((page, at) => page !== data.pages[at]) ? { ...data, pages } : data;
  }
  return isPage(data) ? withRunsOfPage(data, newest) : data;
}

function withRunsOfPage(page: Page<Run>, newest: ReadonlyMap<string, Run>): Page<Run> {
  let changed = false;
  const items = page.items.map((run) => {
    const heard = newest.get(run.workflow_id);
    if (!heard || !isLater(run, heard)) return run;
    changed = true;
    return { ...heard, args: run.args, state: heard.state, result: heard.result };
  });
  return changed ? { ...page, items } : page;
}

function isPage(data: unknown): data is Page<Run> {
  const items = (data as Page<Run> | null | undefined)?.items;
  return Array.isArray(items) && (items.length === 0 || typeof items[0]?.workflow_id === "string");
}

function isInfinite(data: unknown): data is InfiniteData<Page<Run>> {
  const pages = (data as InfiniteData<unknown> | null | undefined)?.pages;
  return Array.isArray(pages) && pages.every(isPage);
}
