import { absolute, duration } from "@/model/time";
import type { Timeline, TimelineRow } from "@/model/timeline";
import { DataTable, type Column } from "@/ui/Table";
import { useRunPage } from "../data";
import { spentText } from "./words";

const COLUMNS: readonly Column<TimelineRow>[] = [
  { id: "what", header: "What", cell: (row) => <span className={row.depth === 1 ? "pl-4" : ""}>{row.label}</span> },
  { id: "where", header: "Where", cell: (row) => <span className="text-muted">{row.note}</span> },
  { id: "from", header: "From", cell: (row) => absolute(row.from), className: "whitespace-nowrap" },
  { id: "took", header: "Took", cell: (row) => duration(row.to - row.from) + (row.open ? " so far" : ""), className: "whitespace-nowrap" },
  { id: "spent", header: "Spent", cell: (row) => spentText(row), className: "min-w-64" },
];

/** The same as the bars, as a table of text. */
export function TimelineTable({ timeline }: { timeline: Timeline }) {
  const { selected, select, setSearch } = useRunPage();
  const current = timeline.rows.find((row) => row.kind === "visit" && row.version !== null && row.version === selected?.version);
  return (
    <DataTable
      label="Timeline"
      columns={COLUMNS}
      rows={timeline.rows}
      rowId={(row) => row.key}
      current={current?.key}
      onOpen={(row) => { if (row.kind === "step") setSearch({ step: row.key, at: row.version ?? undefined }); else select(row.version ?? undefined); }}
    />
  );
}
