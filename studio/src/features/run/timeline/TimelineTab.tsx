import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { stepsQuery } from "@/api/queries";
import { useAsked } from "@/blocks/asked";
import { folded } from "@/model/folds";
import { isFinished } from "@/model/status";
import { type Timeline, timelineOf } from "@/model/timeline";
import { attemptOf, attemptsOf, sideOf } from "@/model/zoom";
import { Button } from "@/ui/Button";
import { EmptyState } from "@/ui/States";
import { Select } from "@/ui/fields";
import { useNow } from "@/ui/useNow";
import { useRunPage } from "../data";
import { OlderRows } from "../OlderRows";
import { Bars } from "./Bars";
import { StepPanel, Unknown } from "./StepPanel";
import { TimelineTable } from "./TimelineTable";
import { useZoom } from "./useZoom";

/** How the time was spent: visits, attempts, steps, waits, and child runs. */
export function TimelineTab() {
  const { run, rows, documents, definition, children, moreChildren, answerable, later, search, setSearch } = useRunPage();
  const still = isFinished(run.status) || run.status === "failed";
  const now = useNow(still ? 60_000 : 1_000);
  // The stream of all runs invalidates it, at most once a second.
  const steps = useQuery(stepsQuery(run.workflow_id));
  const asked = useAsked();
  const [range, setRange] = useZoom();
  const whole = useMemo(
    () => timelineOf({ run, rows, documents, definition, children, steps: steps.data, answerable, later, asked }, now),
    [run, rows, documents, definition, children, steps.data, answerable, later, asked, now],
  );
  const [open, setOpen] = useState<ReadonlySet<string>>(NONE);
  const timeline = useMemo(() => folded(search.attempt === undefined ? whole : attemptOf(whole, search.attempt), open), [whole, search.attempt, open]);
  if (whole.rows.length === 0) return <EmptyState title="Nothing has happened yet" />;
  const table = search.table === true;
  return (
    <div className="flex min-w-0 flex-col gap-2">
      <div className="flex flex-wrap items-center gap-2">
        <Button size="sm" aria-pressed={table} variant={table ? "secondary" : "ghost"} onClick={() => { setSearch({ table: table ? undefined : true }); }}>
          As a table
        </Button>
        {!table && (
          <Button size="sm" aria-pressed={search.real === true} variant={search.real ? "secondary" : "ghost"} onClick={() => { setSearch({ real: search.real ? undefined : true }); }}>
            Real scale
          </Button>
        )}
        <Attempts whole={whole} />
        {moreChildren && (
          <Button size="sm" variant="ghost" onClick={moreChildren}>
            Load more of the runs it started
          </Button>
        )}
        {open.size > 0 && (
          <Button size="sm" variant="ghost" onClick={() => { setOpen(NONE); }}>
            Fold similar rows
          </Button>
        )}
        <OlderRows />
      </div>
      <Unknown steps={steps.data ?? []} />
      <StepPanel steps={steps.data ?? []} />
      {timeline.rows.length === 0 ? (
        <EmptyState title={`No transition reached attempt ${String(search.attempt)}`}>Every loaded transition succeeded, or failed for good, before it.</EmptyState>
      ) : table ? (
        <TimelineTable timeline={range ? { ...timeline, rows: timeline.rows.filter((row) => sideOf(row, range) === "within") } : timeline} />
      ) : (
        <Bars timeline={timeline} real={search.real === true} range={range} onRange={setRange} onUnfold={(key) => { setOpen(new Set(open).add(key)); }} />
      )}
    </div>
  );
}

const NONE: ReadonlySet<string> = new Set();

/** Not shown if every first attempt succeeded. */
function Attempts({ whole }: { whole: Timeline }) {
  const { search, setSearch } = useRunPage();
  const most = Math.max(attemptsOf(whole), search.attempt ?? 1);
  if (most < 2) return null;
  return (
    <label className="inline-flex items-center gap-1.5 text-xs text-muted">
      Attempt
      <Select
        className="min-h-6! w-auto! py-0! text-xs"
        value={search.attempt ?? ""}
        onChange={(event) => { setSearch({ attempt: event.target.value === "" ? undefined : Number(event.target.value), zoom: undefined }); }}
      >
        <option value="">all</option>
        {Array.from({ length: most }, (_, at) => (
          <option key={at} value={at + 1}>
            {at + 1}
          </option>
        ))}
      </Select>
    </label>
  );
}
