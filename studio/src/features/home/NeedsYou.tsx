import { Link } from "@tanstack/react-router";
import { useInbox } from "@/blocks/inbox";
import { type Item, titleOf } from "@/model/inbox";
import { STATUSES } from "@/model/status";
import { nameOf } from "@/model/subject";
import { QueryView } from "@/ui/QueryView";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";

const SHOWN = 5;

/** The most urgent questions, and how many there are. */
export function NeedsYou() {
  const { query, items, more } = useInbox();
  return (
    <QueryView query={query} errorTitle="The runs that wait for you couldn't be loaded">
      {() => {
        if (items.length === 0) return <p className="text-muted">No run waits for an answer.</p>;
        return (
          <>
            <ul className="divide-y rounded-md border">
              {items.slice(0, SHOWN).map((item) => (
                <Question key={item.workflowId} item={item} />
              ))}
            </ul>
            <Link to="/waiting" className="prose-link mt-2 inline-block">
              {items.length > SHOWN ? `All ${String(items.length)}${more ? "+" : ""} that wait` : "Answer them"}
            </Link>
          </>
        );
      }}
    </QueryView>
  );
}

function Question({ item }: { item: Item }) {
  const [first] = item.questions;
  const { shape, token } = STATUSES.waiting;
  return (
    <li className="flex items-center gap-2 px-3 py-2">
      <StatusShape shape={shape} token={token} />
      <div className="min-w-0 grow">
        <Link to="/waiting" search={{ run: item.workflowId }} className="prose-link font-medium">
          {titleOf(item)}
        </Link>
        <div className="truncate text-xs text-muted">
          {first.subject === null ? first.workflow_name : `${nameOf(first)} · ${first.workflow_name}`}
          {first.labels.length > 0 && ` · ${first.labels.join(", ")}`}
        </div>
      </div>
      <RelativeTime at={first.asked_at} className="text-xs text-muted" />
    </li>
  );
}
