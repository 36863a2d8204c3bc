import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { countsQuery } from "@/api/queries";
import type { Counts } from "@/api/types";
import { STATUS_NAMES, STATUSES } from "@/model/status";
import { QueryView } from "@/ui/QueryView";
import { Skeleton } from "@/ui/States";
import { StatusShape } from "@/ui/StatusShape";

/** How many runs are in each status; each count leads to them. */
export function Now() {
  return (
    <QueryView query={useQuery(countsQuery())} errorTitle="The runs couldn't be counted" loading={<Skeleton className="h-24" />}>
      {(counts) => (
        <ul className="grid grid-cols-[repeat(auto-fill,minmax(7.5rem,1fr))] gap-2">
          {STATUS_NAMES.map((status) => (
            <li key={status}>
              <Link to="/runs" search={{ status: [status] }} className="block rounded-md border px-3 py-2 text-ink no-underline hover:bg-hover">
                <span className="flex items-center gap-1.5 text-xs text-muted">
                  <StatusShape shape={STATUSES[status].shape} token={STATUSES[status].token} />
                  {STATUSES[status].word}
                </span>
                <span className="text-xl font-semibold">{atMost(counts, status)}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </QueryView>
  );
}

function atMost({ counts, capped_at }: Counts, status: keyof Counts["counts"]): string {
  const count = counts[status] ?? 0;
  return count >= capped_at ? `${capped_at.toLocaleString("en")}+` : count.toLocaleString("en");
}
