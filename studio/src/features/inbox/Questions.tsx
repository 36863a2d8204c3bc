import type { Me } from "@/api/types";
import { words } from "@/model/definition";
import { type Item, forWhom, titleOf } from "@/model/inbox";
import { Badge } from "@/ui/Badge";
import { shortId } from "@/ui/Copy";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";
import { Due } from "./Due";

/** One line per run that asks, with what it asks. */
export function Questions({ items, me, open, onOpen }: { items: readonly Item[]; me: Me; open: string | undefined; onOpen: (run: string) => void }) {
  if (items.length === 0) return <p className="text-muted">Nothing else waits.</p>;
  return (
    <ul aria-label="Questions" className="flex flex-col gap-1">
      {items.map((item) => (
        <li key={item.workflowId}>
          <Line item={item} me={me} open={item.workflowId === open} onOpen={onOpen} />
        </li>
      ))}
    </ul>
  );
}

function Line({ item, me, open, onOpen }: { item: Item; me: Me; open: boolean; onOpen: (run: string) => void }) {
  const [first] = item.questions;
  return (
    <button
      type="button"
      aria-current={open || undefined}
      className="flex w-full flex-col gap-0.5 rounded-md border px-3 py-2 text-left hover:bg-hover aria-[current]:border-accent aria-[current]:bg-hover"
      onClick={() => { onOpen(item.workflowId); }}
    >
      <span className="flex items-start gap-1.5 font-medium">
        <StatusShape shape="person" token="human" />
        <span className="min-w-0 wrap-anywhere">{titleOf(item)}</span>
      </span>
      <span className="flex flex-wrap gap-x-2 text-xs text-muted">
        <span className="wrap-anywhere">{first.subject ?? words(first.workflow_name)}</span>
        <code>{shortId(first.workflow_id)}</code>
        <span>
          {forWhom(first, me)}, asked <RelativeTime at={first.asked_at} />
        </span>
      </span>
      <Due question={first} />
      {first.labels.length > 0 && (
        <span className="flex flex-wrap gap-1">
          {first.labels.map((label) => (
            <Badge key={label}>{label}</Badge>
          ))}
        </span>
      )}
    </button>
  );
}
