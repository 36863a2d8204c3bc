import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { waitingQuery } from "@/api/queries";
import type { Waiting } from "@/api/types";
import { STATUSES } from "@/model/status";
import { QueryView } from "@/ui/QueryView";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";

const SHOWN = 5;

/** The first questions, and how many there are. */
export function NeedsYou() {
  const query = useInfiniteQuery(waitingQuery());
  return (
    <QueryView query={query} errorTitle="The runs that wait for you couldn't be loaded">
      {({ pages }) => {
        const items = pages.flatMap((page) => page.items);
        if (items.length === 0) return <p className="text-muted">No run waits for an answer.</p>;
        return (
          <>
            <ul className="divide-y rounded-md border">
              {items.slice(0, SHOWN).map((item) => (
                <Question key={item.run.workflow_id} item={item} />
              ))}
            </ul>
            <Link to="/waiting" className="prose-link mt-2 inline-block">
              {items.length > SHOWN ? `All ${String(items.length)}${pages.at(-1)?.next_cursor ? "+" : ""} that wait` : "Answer them"}
            </Link>
          </>
        );
      }}
    </QueryView>
  );
}

function Question({ item: { run, asks, since } }: { item: Waiting }) {
  const { shape, token } = STATUSES.waiting;
  return (
    <li className="flex items-center gap-2 px-3 py-2">
      <StatusShape shape={shape} token={token} />
      <div className="min-w-0 grow">
        <Link to="/waiting" search={{ run: run.workflow_id }} className="prose-link font-medium">
          {asks.map((ask, at) => (at === 0 ? ask.title : ask.title.toLowerCase())).join(" or ")}
        </Link>
        <div className="truncate text-xs text-muted">
          {run.subject === null ? run.workflow_name : `${run.subject} · ${run.workflow_name}`} at {run.place}
          {run.labels.length > 0 && ` · ${run.labels.join(", ")}`}
        </div>
      </div>
      <RelativeTime at={since} className="text-xs text-muted" />
    </li>
  );
}
