import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { stepsQuery } from "@/api/queries";
import { isFinished } from "@/model/status";
import { timelineOf } from "@/model/timeline";
import { Button } from "@/ui/Button";
import { EmptyState } from "@/ui/States";
import { useNow } from "@/ui/useNow";
import { useRunPage } from "../data";
import { OlderRows } from "../OlderRows";
import { Bars } from "./Bars";
import { TimelineTable } from "./TimelineTable";

/** Where the time went: visits, attempts, steps, waits, and the runs that were started. */
export function TimelineTab() {
  const { run, rows, documents, definition, children, moreChildren, answerable, search, setSearch } = useRunPage();
  const still = isFinished(run.status) || run.status === "failed";
  const now = useNow(still ? 60_000 : 1_000);
  // The stream of all runs makes it old, once a second at most.
  const steps = useQuery(stepsQuery(run.workflow_id));
  const timeline = useMemo(
    () => timelineOf({ run, rows, documents, definition, children, steps: steps.data, answerable }, now),
    [run, rows, documents, definition, children, steps.data, answerable, now],
  );
  if (timeline.rows.length === 0) return <EmptyState title="Nothing has happened yet" />;
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
        {moreChildren && (
          <Button size="sm" variant="ghost" onClick={moreChildren}>
            Load more of the runs it started
          </Button>
        )}
        <OlderRows />
      </div>
      {table ? <TimelineTable timeline={timeline} /> : <Bars timeline={timeline} real={search.real === true} />}
    </div>
  );
}
