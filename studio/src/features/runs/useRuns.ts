import type { InfiniteData } from "@tanstack/react-query";
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useMemo, useState } from "react";
import { keys } from "@/api/keys";
import { runsPagesQuery, runsQuery } from "@/api/queries";
import type { Page, Run, RunFilter } from "@/api/types";
import { isMoving } from "@/model/status";
import { withRuns } from "@/stream/bridge";
import { useLiveEvents } from "@/stream/live";
import { newcomers } from "./matching";

const LIMIT = 50;
/** A claim has no event: while a run is active, the first page is polled. */
const LOOK_AGAIN = 3_000;

/** The rows of a filter: visible rows change in place; new ones are counted, and shown on demand. */
export function useRuns(filter: RunFilter) {
  const client = useQueryClient();
  const options = { ...runsPagesQuery(filter, LIMIT), meta: { live: "in-place" } };
  const query = useInfiniteQuery({ ...options, placeholderData: keepPreviousData, refetchOnWindowFocus: false, refetchOnMount: "always", staleTime: Infinity, gcTime: 60_000 });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const news = useNews(JSON.stringify(filter));
  const heard = (runs: readonly Run[]) => {
    if (!query.isPlaceholderData) news.add(newcomers(runs, rows, filter, query.hasNextPage));
  };
  useLiveEvents((events) => { heard(events.map((event) => event.run)); });
  usePoll(filter, rows, (page) => {
    const newest = new Map(page.items.map((run) => [run.workflow_id, run]));
    client.setQueryData<InfiniteData<Page<Run>>>(options.queryKey, (data) => withRuns(data, newest) as typeof data);
    heard(page.items);
  });
  const showNew = () => {
    news.clear();
    // Only the first page is refetched: the others would be requested one after the other.
    client.setQueryData<InfiniteData<Page<Run>, string | null>>(options.queryKey, (data) => data && { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) });
    void query.refetch();
    void client.invalidateQueries({ queryKey: [...keys.runs, "counts"] });
  };
  return { query, rows, fresh: news.count, showNew };
}

function useNews(filter: string) {
  const [news, setNews] = useState<{ filter: string; ids: ReadonlySet<string> }>({ filter, ids: new Set() });
  const ids = news.filter === filter ? news.ids : new Set<string>();
  return {
    count: ids.size,
    add: (more: readonly string[]) => {
      if (more.some((id) => !ids.has(id))) setNews({ filter, ids: new Set([...ids, ...more]) });
    },
    clear: () => { setNews({ filter, ids: new Set() }); },
  };
}

function usePoll(filter: RunFilter, rows: readonly Run[], seen: (page: Page<Run>) => void): void {
  const moving = rows.some((run) => isMoving(run.status));
  const { queryKey, queryFn } = runsQuery(filter, { limit: LIMIT });
  const poll = useQuery({ queryKey: ["poll", ...queryKey], ...(queryFn && { queryFn }), enabled: moving, refetchInterval: LOOK_AGAIN, gcTime: 0 });
  const told = useEffectEvent(seen);
  useEffect(() => {
    if (poll.data) told(poll.data as Page<Run>);
  }, [poll.data]);
}
