import type { Waiting } from "@/api/types";
import { Badge } from "@/ui/Badge";
import { RelativeTime } from "@/ui/Time";
import { shortId } from "@/ui/Copy";
import { StatusShape } from "@/ui/StatusShape";
import { words } from "@/model/definition";
import { nameOf } from "@/model/subject";

/** One line per run that asks, with what it asks. */
export function Questions({ items, open, onOpen }: { items: readonly Waiting[]; open: string | undefined; onOpen: (run: string) => void }) {
  if (items.length === 0) return <p className="text-muted">Nothing else waits.</p>;
  return (
    <ul aria-label="Questions" className="flex flex-col gap-1">
      {items.map((item) => (
        <li key={item.run.workflow_id}>
          <Question item={item} open={item.run.workflow_id === open} onOpen={onOpen} />
        </li>
      ))}
    </ul>
  );
}

function Question({ item: { run, asks, since }, open, onOpen }: { item: Waiting; open: boolean; onOpen: (run: string) => void }) {
  return (
    <button
      type="button"
      aria-current={open || undefined}
      className="flex w-full flex-col gap-0.5 rounded-md border px-3 py-2 text-left hover:bg-hover aria-[current]:border-accent aria-[current]:bg-hover"
      onClick={() => { onOpen(run.workflow_id); }}
    >
      <span className="flex items-start gap-1.5 font-medium">
        <StatusShape shape="person" token="human" />
        <span className="min-w-0 wrap-anywhere">{questionOf(asks, run.place)}</span>
      </span>
      <span className="flex flex-wrap gap-x-2 text-xs text-muted">
        <span className="min-w-0 wrap-anywhere">{nameOf(run)}</span>
        <code>{shortId(run.workflow_id)}</code>
        <span>
          for {run.user_id}, <RelativeTime at={since} />
        </span>
      </span>
      {run.labels.length > 0 && (
        <span className="flex flex-wrap gap-1">
          {run.labels.map((label) => (
            <Badge key={label}>{label}</Badge>
          ))}
        </span>
      )}
    </button>
  );
}

/** The question, in the author's words if there are any: "Does this order go out?", else "Decide or hold". */
export function questionOf(asks: Waiting["asks"], place: string): string {
  const said = asks.find((ask) => ask.description)?.description.split("\n", 1)[0];
  if (said) return said;
  const verbs = asks.map((ask, at) => (at === 0 ? ask.title : ask.title.toLowerCase()));
  return verbs.length > 0 ? verbs.join(" or ") : words(place);
}
