import { ChevronLeft, ChevronRight, X } from "lucide-react";
import type { Checkpoint, WorkflowDetail } from "@/api/types";
import { END, titleOf } from "@/model/definition";
import { LOOKS } from "@/model/status";
import { brief } from "@/model/why";
import { StatusShape } from "@/ui/StatusShape";
import { IconButton } from "@/ui/Button";
import { CodeBlock } from "@/ui/CodeBlock";
import { RelativeTime } from "@/ui/Time";
import { useRunPage } from "./data";
import { ForkButton } from "./ForkButton";
import { useTrace } from "./useTrace";

/** The selected row of the history, on every tab, with links to the previous and the next one. */
export function Selected() {
  const { selected, search } = useRunPage();
  if (!selected) return search.at === undefined ? null : <NotKnown at={search.at} />;
  return <Shown row={selected} />;
}

/** The feed doesn't repeat the texts of the header and the error's card, nor the stack where the tab shows it. */
function Shown({ row: selected }: { row: Checkpoint }) {
  const { rows, select, search, tab, definition } = useRunPage();
  const trace = useTrace(selected);
  const at = rows.indexOf(selected);
  const [before, after] = [rows[at - 1], rows[at + 1]];
  return (
    <aside aria-label="Selected checkpoint" className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1 rounded-md border bg-subtle px-2 py-1">
      <span className="inline-flex items-center">
        <IconButton size="sm" label="Previous checkpoint" off={!before && "It is the first one that is loaded"} onClick={() => { select(before?.version); }}>
          <ChevronLeft size={16} aria-hidden />
        </IconButton>
        <IconButton size="sm" label="Next checkpoint" off={!after && "It is the last one"} onClick={() => { select(after?.version); }}>
          <ChevronRight size={16} aria-hidden />
        </IconButton>
      </span>
      <span className="inline-flex min-w-0 items-center gap-1.5 font-medium" title={selected.transition ?? undefined}>
        <RowShape row={selected} /> {selected.version}: {rowTitle(selected, definition)}
      </span>
      <span className="text-muted">
        <RelativeTime at={selected.finished_at} />
        {selected.answered_by && ` by ${selected.answered_by}`}
      </span>
      {selected.error && tab !== "feed" && <span className="min-w-0 grow basis-48 truncate text-failed">{brief(selected.error)}</span>}
      <ForkButton row={selected} />
      <IconButton size="sm" label="Clear the selection" off={search.at === undefined && "It is selected because the run failed here"} onClick={() => { select(undefined); }}>
        <X size={14} aria-hidden />
      </IconButton>
      {trace && tab !== "history" && tab !== "details" && <Stack trace={trace} />}
    </aside>
  );
}

export function Stack({ trace }: { trace: string }) {
  return (
    <details className="w-full min-w-0">
      <summary className="min-h-6 text-muted">Stack</summary>
      <CodeBlock code={trace} label="Stack" />
    </details>
  );
}

/** The row isn't loaded: not yet, or no longer, because the user has moved on to others. */
function NotKnown({ at }: { at: number }) {
  const { select, view, store, known } = useRunPage();
  const there = at >= 0 && at <= view.version;
  return (
    <aside aria-label="Selected checkpoint" className="mt-2 flex flex-wrap items-center gap-x-3 rounded-md border bg-subtle px-2 py-1 text-muted">
      <span role="status">{there ? `Checkpoint ${String(at)} is not among those that are loaded.` : `There is no checkpoint ${String(at)} (yet).`}</span>
      {there && (
        <button type="button" className="prose-link min-h-6" disabled={known.loadingOlder} onClick={() => void store.rowsAround(at)}>
          Load it
        </button>
      )}
      <button type="button" className="prose-link min-h-6" onClick={() => { select(undefined); }}>
        Clear the selection
      </button>
    </aside>
  );
}

/** "Charge: approved → paid", "Started", "Cancelled". */
export function rowTitle(row: Checkpoint, definition: WorkflowDetail | null): string {
  if (row.version === 0) return "Started";
  if (row.status === "canceled") return row.transition ? `Cancelled during ${titleOf(definition, row.transition)}` : "Cancelled";
  if (row.transition === null && row.status === "failed") return `Failed in ${row.source ?? "?"}`;
  if (row.transition === null && row.target === null && row.status === "committed") return "The state was replaced";
  const name = row.transition ? titleOf(definition, row.transition) : "No transition";
  if (row.status === "void") return `${name} was not used`;
  if (row.target === null) return `${name} failed in ${row.source ?? "?"}`;
  return `${name}: ${row.source ?? "?"} → ${row.target}`;
}

export function RowShape({ row }: { row: Checkpoint }) {
  const look = lookOfRow(row);
  return <StatusShape shape={look.shape} token={look.token} label={look.word} />;
}

export function lookOfRow(row: Checkpoint): { word: string; shape: (typeof LOOKS)["failed" | "completed" | "canceled"]["shape"]; token: (typeof LOOKS)["failed" | "completed" | "canceled"]["token"] } {
  if (row.status === "failed") return LOOKS.failed;
  if (row.status === "canceled") return LOOKS.canceled;
  if (row.status === "void") return { ...LOOKS.canceled, word: "Not used" };
  return row.target === END ? LOOKS.completed : { ...LOOKS.completed, word: "Committed" };
}
