import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { inboxQuery, meQuery } from "@/api/queries";
import type { InboxFilter } from "@/api/types";
import { itemsOf } from "@/model/inbox";

/** Milliseconds after which it is read again by those whom the stream tells nothing of other users' runs. */
const AGAIN = 5_000;

/** What this person is asked, live; `mine`: also for who sees all runs only what they may answer themselves. */
export function useInbox({ mine = false, ...filter }: Omit<InboxFilter, "everybody"> & { mine?: boolean } = {}) {
  const me = useQuery(meQuery()).data;
  const everybody = me !== undefined && me.everybody && !mine;
  const query = useInfiniteQuery({
    ...inboxQuery({ ...filter, ...(everybody ? { everybody } : {}) }),
    enabled: me !== undefined,
    refetchInterval: me && !me.everybody ? AGAIN : false,
  });
  const { data } = query;
  const items = useMemo(() => itemsOf(data?.pages.flatMap((page) => page.items) ?? []), [data]);
  return { query, items, more: data?.pages.at(-1)?.next_cursor != null };
}
