import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { LOOKS, endedAt, isFinished, lookOf } from "@/model/status";
import { moment, short } from "@/model/time";
import { statusSentence } from "@/model/why";
import { Badge, StatusBadge } from "@/ui/Badge";
import { CopyId, shortId } from "@/ui/Copy";
import type { Column } from "@/ui/Table";
import { Duration, RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import type { ColumnId } from "./arrangement";
import type { Narrowing } from "./CellMenu";
import { CellMenu } from "./CellMenu";

type Asked = (run: Run) => readonly string[] | undefined;

/** All columns; the reader chooses which are shown, and in which order. `asked`: the transitions of a run that people may answer. */
export function columnsOf(narrowing: Narrowing, asked: Asked): readonly (Column<Run> & { id: ColumnId })[] {
  return [
    { id: "status", header: "Status", className: "w-32", cell: (run) => <CellMenu chip={{ qualifier: "status", value: run.status }} narrowing={narrowing}><StatusBadge {...LOOKS[lookOf(run, asked(run))]} /></CellMenu> },
    { id: "workflow", header: "Workflow", cell: (run) => <CellMenu chip={{ qualifier: "workflow", value: run.workflow_name }} narrowing={narrowing}>{run.workflow_name}</CellMenu> },
    { id: "run", header: "Run", cell: (run) => <RunName run={run} /> },
    { id: "place", header: "Place", cell: (run) => <CellMenu chip={{ qualifier: "place", value: run.place }} narrowing={narrowing}><Place run={run} /></CellMenu> },
    { id: "why", header: "Why", className: "w-full max-w-0 min-w-48", cell: (run) => <Why run={run} answerable={asked(run)} /> },
    { id: "started", header: "Started", cell: (run) => <RelativeTime at={run.created_at} /> },
    { id: "duration", header: "Duration", className: "text-right", cell: (run) => <Duration from={run.created_at} to={endedAt(run)} /> },
    { id: "labels", header: "Labels", cell: (run) => <Labels labels={run.labels} narrowing={narrowing} /> },
    { id: "app", header: "App", cell: (run) => <CellMenu chip={{ qualifier: "app", value: run.app_name }} narrowing={narrowing}>{run.app_name}</CellMenu> },
    { id: "user", header: "User", cell: (run) => <CellMenu chip={{ qualifier: "user", value: run.user_id }} narrowing={narrowing}>{run.user_id}</CellMenu> },
    { id: "version", header: "Version", className: "text-right", cell: (run) => run.workflow_version },
    { id: "attempt", header: "Attempt", className: "text-right", cell: (run) => run.attempt },
    { id: "priority", header: "Priority", className: "text-right", cell: (run) => run.priority },
    { id: "parent", header: "Parent", cell: (run) => (run.parent_id === null ? <span className="text-muted">–</span> : <RunName run={{ workflow_id: run.parent_id, subject: null }} />) },
    { id: "updated", header: "Changed", cell: (run) => <RelativeTime at={run.updated_at} /> },
  ];
}

/** Its subject, if it has one, and its id. */
function RunName({ run: { workflow_id: id, subject } }: { run: Pick<Run, "workflow_id" | "subject"> }) {
  return (
    <CopyId id={id}>
      <Link to="/runs/$workflowId" params={{ workflowId: id }} className="prose-link inline-flex min-w-0 items-baseline gap-1.5" title={subject === null ? id : `${subject} (${id})`}>
        {subject !== null && <span className="max-w-64 truncate">{subject}</span>}
        <code className={subject === null ? undefined : "text-xs"}>{shortId(id)}</code>
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

function Why({ run, answerable }: { run: Run; answerable: readonly string[] | undefined }) {
  const now = useNow();
  const sentence = statusSentence({ run, answerable }, now);
  return (
    <span className="block truncate text-muted" title={sentence}>
      {sentence}
    </span>
  );
}

function Labels({ labels, narrowing }: { labels: readonly string[]; narrowing: Narrowing }) {
  return (
    <span className="inline-flex gap-1">
      {labels.map((label) => (
        <button key={label} type="button" title={`Only label:${label}`} className="min-h-6 rounded-sm" onClick={() => { narrowing.only({ qualifier: "label", value: label }); }}>
          <Badge>{label}</Badge>
        </button>
      ))}
    </span>
  );
}
