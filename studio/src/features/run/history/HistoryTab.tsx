import { useMemo } from "react";
import type { Checkpoint } from "@/api/types";
import { titleOf, words } from "@/model/definition";
import { duration, moment } from "@/model/time";
import { brief } from "@/model/why";
import { Clamped } from "@/ui/Clamped";
import { CodeBlock } from "@/ui/CodeBlock";
import { CopyButton } from "@/ui/Copy";
import { Facts } from "@/ui/Page";
import { type Column, DataTable } from "@/ui/Table";
import { AbsoluteTime, RelativeTime } from "@/ui/Time";
import { useRunPage } from "../data";
import { OlderRows } from "../OlderRows";
import { RowShape, lookOfRow } from "../Selected";
import { useTrace } from "../useTrace";

const COLUMNS: readonly Column<Checkpoint>[] = [
  { id: "version", header: "#", cell: (row) => row.version, className: "w-12 text-right tabular-nums" },
  {
    id: "status",
    header: "Status",
    cell: (row) => (
      <span className="inline-flex items-center gap-1.5 whitespace-nowrap">
        <RowShape row={row} />
        <span aria-hidden>{lookOfRow(row).word}</span>
      </span>
    ),
  },
  { id: "transition", header: "Transition", cell: (row) => <Named row={row} />, className: "whitespace-nowrap" },
  { id: "way", header: "Way", cell: (row) => (row.source ? `${row.source} → ${row.target ?? "stays"}` : "–"), className: "whitespace-nowrap" },
  { id: "attempt", header: "Attempt", cell: (row) => (row.attempt > 0 ? row.attempt : "–"), className: "text-right" },
  { id: "by", header: "Answered by", cell: (row) => row.answered_by ?? "–", className: "whitespace-nowrap" },
  { id: "at", header: "Ended", cell: (row) => <RelativeTime at={row.finished_at} /> },
  { id: "took", header: "Took", cell: (row) => duration(moment(row.finished_at) - moment(row.started_at)), className: "text-right whitespace-nowrap" },
  { id: "error", header: "Error", cell: (row) => row.error && <span className="text-failed">{brief(row.error)}</span>, className: "min-w-48" },
];

/** A title that isn't just the name as a phrase is followed by the name. */
function Named({ row }: { row: Checkpoint }) {
  const { definition } = useRunPage();
  if (row.version === 0) return "Started";
  if (row.transition === null) return "–";
  const title = titleOf(definition, row.transition);
  return (
    <>
      {title} {title !== words(row.transition) && <code className="text-muted">{row.transition}</code>}
    </>
  );
}

/** Every row of the history, the newest first, and the error of the selected one, with its stack. */
export function HistoryTab() {
  const { rows, selected, select } = useRunPage();
  const newest = useMemo(() => [...rows].reverse(), [rows]);
  const line = (row: Checkpoint) => JSON.stringify(row);
  return (
    <div className="flex min-w-0 flex-col gap-3">
      {selected && <Inspector row={selected} />}
      <div className="flex flex-wrap items-center gap-2">
        <CopyButton text={() => JSON.stringify(rows, null, 2)}>Copy as JSON</CopyButton>
        <CopyButton text={() => rows.map(line).join("\n")}>Copy as NDJSON</CopyButton>
        <OlderRows />
      </div>
      <DataTable
        label="History"
        columns={COLUMNS}
        rows={newest}
        rowId={(row) => String(row.version)}
        current={selected ? String(selected.version) : null}
        onOpen={(row) => { select(row.version); }}
      />
    </div>
  );
}

function Inspector({ row }: { row: Checkpoint }) {
  const trace = useTrace(row);
  return (
    <section aria-label={`Checkpoint ${String(row.version)}`} className="min-w-0 rounded-md border p-3">
      <Facts
        facts={[
          ["Began", <AbsoluteTime key="began" at={row.started_at} />],
          ["Ended", <AbsoluteTime key="ended" at={row.finished_at} />],
          row.signal_id !== null && ["Signal", <code key="signal">{row.signal_id}</code>],
          row.answered_by !== null && ["Answered by", row.answered_by],
          row.error !== null && ["Error", <Clamped key="error" text={row.error} label="error">{(shown) => <span className="whitespace-pre-wrap text-failed">{shown}</span>}</Clamped>],
        ]}
      />
      {trace && <CodeBlock code={trace} label="Stack" className="mt-2" />}
      {row.status === "failed" && !trace && <p className="mt-2 text-muted">The stack is shown only to users who may see all users' runs.</p>}
    </section>
  );
}
