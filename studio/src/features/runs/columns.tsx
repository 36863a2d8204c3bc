import { Link } from "@tanstack/react-router";
import { ListFilter } from "lucide-react";
import type { ReactNode } from "react";
import type { Run } from "@/api/types";
import type { Chip } from "@/model/filter";
import { LOOKS, endedAt, isFinished, lookOf } from "@/model/status";
import { moment, short } from "@/model/time";
import { statusSentence } from "@/model/why";
import { Badge, StatusBadge } from "@/ui/Badge";
import { CopyId, shortId } from "@/ui/Copy";
import type { Column } from "@/ui/Table";
import { Duration, RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";

export type Narrow = (chip: Chip) => void;

/** All columns, in order; which of them are shown is the reader's. */
export function columnsOf(narrow: Narrow): readonly Column<Run>[] {
  return [
    { id: "status", header: "Status", className: "w-32", cell: (run) => <Narrowing chip={{ qualifier: "status", value: run.status }} narrow={narrow}><StatusBadge {...LOOKS[lookOf(run)]} /></Narrowing> },
    { id: "workflow", header: "Workflow", cell: (run) => <Narrowing chip={{ qualifier: "workflow", value: run.workflow_name }} narrow={narrow}>{run.workflow_name}</Narrowing> },
    { id: "run", header: "Run", cell: (run) => <RunLink id={run.workflow_id} /> },
    { id: "place", header: "Place", cell: (run) => <Narrowing chip={{ qualifier: "place", value: run.place }} narrow={narrow}><Place run={run} /></Narrowing> },
    { id: "why", header: "Why", className: "max-w-96", cell: (run) => <Why run={run} /> },
    { id: "started", header: "Started", cell: (run) => <RelativeTime at={run.created_at} /> },
    { id: "duration", header: "Duration", className: "text-right", cell: (run) => <Duration from={run.created_at} to={endedAt(run)} /> },
    { id: "labels", header: "Labels", cell: (run) => <Labels labels={run.labels} narrow={narrow} /> },
    { id: "app", header: "App", cell: (run) => <Narrowing chip={{ qualifier: "app", value: run.app_name }} narrow={narrow}>{run.app_name}</Narrowing> },
    { id: "user", header: "User", cell: (run) => <Narrowing chip={{ qualifier: "user", value: run.user_id }} narrow={narrow}>{run.user_id}</Narrowing> },
    { id: "version", header: "Version", className: "text-right", cell: (run) => run.workflow_version },
    { id: "attempt", header: "Attempt", className: "text-right", cell: (run) => run.attempt },
    { id: "priority", header: "Priority", className: "text-right", cell: (run) => run.priority },
    { id: "parent", header: "Parent", cell: (run) => (run.parent_id === null ? <span className="text-muted">–</span> : <RunLink id={run.parent_id} />) },
    { id: "updated", header: "Changed", cell: (run) => <RelativeTime at={run.updated_at} /> },
  ];
}

/** A cell with a button that shows only what has the same in it. Seen on hover and focus; a phone has the filter bar. */
function Narrowing({ chip, narrow, children }: { chip: Chip; narrow: Narrow; children: ReactNode }) {
  const label = `Only ${chip.qualifier ?? ""}:${chip.value}`;
  return (
    <span className="group/cell inline-flex max-w-full items-center gap-1">
      <span className="inline-flex min-w-0 items-center truncate">{children}</span>
      <button
        type="button"
        aria-label={label}
        title={label}
        className="grid size-6 shrink-0 place-items-center rounded-sm text-muted opacity-0 group-hover/cell:opacity-100 hover:bg-hover focus-visible:opacity-100 [@media(hover:none)]:hidden"
        onClick={() => { narrow(chip); }}
      >
        <ListFilter size={12} aria-hidden />
      </button>
    </span>
  );
}

function RunLink({ id }: { id: string }) {
  return (
    <CopyId id={id}>
      <Link to="/runs/$workflowId" params={{ workflowId: id }} className="prose-link" title={id}>
        <code>{shortId(id)}</code>
      </Link>
    </CopyId>
  );
}

function Place({ run }: { run: Run }) {
  const now = useNow(10_000);
  const since = Math.max(0, now - moment(run.updated_at));
  return (
    <>
      {run.place}
      {!isFinished(run.status) && since >= 60_000 && <span className="ml-1 text-xs text-muted">{short(since)}</span>}
    </>
  );
}

function Why({ run }: { run: Run }) {
  const now = useNow();
  const sentence = statusSentence({ run }, now);
  return (
    <span className="block truncate text-muted" title={sentence}>
      {sentence}
    </span>
  );
}

function Labels({ labels, narrow }: { labels: readonly string[]; narrow: Narrow }) {
  return (
    <span className="inline-flex gap-1">
      {labels.map((label) => (
        <button key={label} type="button" title={`Only label:${label}`} className="min-h-6 rounded-sm" onClick={() => { narrow({ qualifier: "label", value: label }); }}>
          <Badge>{label}</Badge>
        </button>
      ))}
    </span>
  );
}
