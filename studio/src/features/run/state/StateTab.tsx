import { useEffect, useMemo, useRef } from "react";
import type { Checkpoint } from "@/api/types";
import { count, countText, diff } from "@/model/diff";
import { Button } from "@/ui/Button";
import { cn } from "@/ui/cn";
import { Select } from "@/ui/fields";
import { JsonTree } from "@/ui/JsonTree";
import { ErrorState, LoadingRows } from "@/ui/States";
import { RelativeTime } from "@/ui/Time";
import { VirtualList, type VirtualListHandle } from "@/ui/VirtualList";
import { useRunPage } from "../data";
import { OlderRows } from "../OlderRows";
import type { StateMode } from "../search";
import { RowShape, rowTitle } from "../Selected";
import { Changes } from "./Changes";
import { useStateAt } from "./useStateAt";

const MODES: readonly { value: StateMode; label: string }[] = [
  { value: "changes", label: "Changes" },
  { value: "value", label: "Value" },
  { value: "compare", label: "Compare" },
];

/** The state after each checkpoint, and the changes between two of them. */
export function StateTab() {
  const { rows, selected, search, setSearch } = useRunPage();
  const row = selected ?? rows.at(-1) ?? null;
  const mode = search.mode ?? "changes";
  return (
    <div className="grid min-w-0 gap-3 md:grid-cols-[minmax(14rem,20rem)_minmax(0,1fr)]">
      <Checkpoints current={row} />
      <div className="min-w-0">
        <div className="mb-2 flex flex-wrap items-center gap-2">
          <div role="group" aria-label="What is shown" className="flex gap-1">
            {MODES.map((one) => (
              <Button key={one.value} size="sm" aria-pressed={mode === one.value} variant={mode === one.value ? "secondary" : "ghost"} onClick={() => { setSearch({ mode: one.value }); }}>
                {one.label}
              </Button>
            ))}
          </div>
          {mode === "compare" && <CompareWith row={row} />}
        </div>
        {row && <Shown row={row} mode={mode} />}
      </div>
    </div>
  );
}

function Checkpoints({ current }: { current: Checkpoint | null }) {
  const { rows, select, definition } = useRunPage();
  const list = useRef<VirtualListHandle>(null);
  const at = current ? rows.indexOf(current) : -1;
  useEffect(() => {
    if (at >= 0) list.current?.scrollTo(at);
  }, [at]);
  return (
    <div className="min-w-0">
      <VirtualList
        label="Checkpoints"
        items={rows}
        itemKey={(row) => row.version}
        rowHeight={44}
        handle={list}
        className="max-h-48 rounded-md border md:max-h-[max(20rem,calc(100dvh-20rem))]"
        render={(row, index) => (
          <button
            type="button"
            data-inset-focus
            aria-current={row === current || undefined}
            className={cn("flex h-full w-full flex-col justify-center border-b border-line/60 px-2 text-left hover:bg-hover", row === current && "bg-hover")}
            onClick={() => { select(row.version); }}
          >
            <span className="flex w-full items-center gap-1.5">
              <RowShape row={row} />
              <span className="text-muted">{row.version}</span>
              <span className="truncate">{rowTitle(row, definition)}</span>
            </span>
            <span className="flex w-full justify-between gap-2 pl-5 text-xs text-muted">
              <RelativeTime at={row.finished_at} />
              <ChangeCounts row={row} before={rows[index - 1]} />
            </span>
          </button>
        )}
      />
      <div className="mt-2">
        <OlderRows />
      </div>
    </div>
  );
}

/** Only if both states are loaded: nothing is fetched just to count. */
function ChangeCounts({ row, before }: { row: Checkpoint; before: Checkpoint | undefined }) {
  const text = useMemo(() => {
    if (!before || row.state === null || before.state === null) return "";
    return countText(count(diff(before.state, row.state)));
  }, [row, before]);
  return <span className="font-mono">{text}</span>;
}

function CompareWith({ row }: { row: Checkpoint | null }) {
  const { rows, search, setSearch, definition } = useRunPage();
  return (
    <label className="inline-flex items-center gap-2">
      <span className="whitespace-nowrap text-muted">{row?.version} with</span>
      <Select value={search.with ?? rows[0]?.version ?? 0} onChange={(event) => { setSearch({ with: Number(event.target.value) }); }} className="max-w-64">
        {rows.map((one) => (
          <option key={one.version} value={one.version}>
            {one.version}: {rowTitle(one, definition)}
          </option>
        ))}
      </Select>
    </label>
  );
}

function Shown({ row, mode }: { row: Checkpoint; mode: StateMode }) {
  const { run, rows, search } = useRunPage();
  const other = mode === "compare" ? (rows.find((one) => one.version === search.with) ?? rows[0]) : rows[rows.indexOf(row) - 1];
  const state = useStateAt(run.workflow_id, row);
  const before = useStateAt(run.workflow_id, mode === "value" ? null : (other ?? null));
  const changes = useMemo(() => (mode === "value" || !other ? [] : diff(before.value, state.value)), [mode, other, before.value, state.value]);
  const error = state.error ?? before.error;
  if (error) return <ErrorState error={error} title="The state couldn't be loaded" onRetry={state.error ? state.refetch : before.refetch} />;
  if (state.loading || before.loading) return <LoadingRows rows={4} label="Loading the state" />;
  if (state.value === null) return <p className="text-muted">The state at that checkpoint is no longer kept: only those of the newest checkpoints are (Settings.history_states).</p>;
  if (mode === "value") return <JsonTree value={state.value} label={`State after checkpoint ${String(row.version)}`} depth={3} />;
  if (!other) return <JsonTree value={state.value} label="The initial state" depth={3} />;
  if (before.value === null) return <p className="text-muted">The state of checkpoint {other.version} is no longer kept, so there is nothing to compare with.</p>;
  return (
    <>
      <p className="mb-1 text-muted">
        From checkpoint {other.version} to {row.version}: {countText(count(changes))}
      </p>
      {changes.length > 0 && <Changes changes={changes} />}
      <h2 className="mt-3 mb-1 text-base! font-normal! text-muted">After checkpoint {row.version}</h2>
      <JsonTree value={state.value} label={`State after checkpoint ${String(row.version)}`} depth={changes.length > 0 ? 1 : 3} />
    </>
  );
}
