import { useMemo, useState, useSyncExternalStore } from "react";
import { MOST_PLACES, drawingOf } from "@/model/drawing";
import { Button } from "@/ui/Button";
import StateGraph from "@/ui/graph/StateGraph";
import { EmptyState, ErrorState } from "@/ui/States";
import { useRunPage } from "../data";
import { OlderRows } from "../OlderRows";
import { rowTitle } from "../Selected";
import { Outline } from "./Outline";
import { type Counting, useTally } from "./useTally";

/** The workflow's places and transitions with the course of the run; a slider goes back through the checkpoints. */
export default function GraphTab() {
  const { definition, run, rows, later, selected, search, select } = useRunPage();
  const [large, setLarge] = useState(false);
  const direction = useNarrow() ? "TB" : "LR";
  const counting = useTally();
  const { tally: before } = counting;
  const at = search.at === undefined ? undefined : selected?.version;
  const drawing = useMemo(() => definition && drawingOf(definition, { run, rows, at, before, later }, direction), [definition, run, rows, at, before, later, direction]);
  if (!drawing) {
    return (
      <EmptyState title="This server doesn't know the graph">
        No app of this process registers the workflow <code>{run.workflow_name}</code>: its places and transitions are in its code.
      </EmptyState>
    );
  }
  const here = drawing.nodes.find((node) => node.here)?.id;
  const drawn = drawing.nodes.length <= MOST_PLACES || large;
  const leftBy = (place: string) => rows.findLast((row) => row.source === place || row.target === place)?.version;
  return (
    <div className="flex min-w-0 flex-col gap-3">
      {definition && definition.version !== run.workflow_version && (
        <p className="text-muted">
          This is version {definition.version} of the workflow; the run was started with version {run.workflow_version}.
        </p>
      )}
      {drawn ? (
        <StateGraph
          label={`The graph of ${definition?.title ?? run.workflow_name}`}
          nodes={drawing.nodes}
          edges={drawing.edges}
          width={drawing.width}
          height={drawing.height}
          follow={here}
          onSelect={(place) => { select(leftBy(place)); }}
        />
      ) : (
        <p>
          It has {drawing.nodes.length} places: that is a lot to draw.{" "}
          <Button size="sm" onClick={() => { setLarge(true); }}>
            Draw it anyway
          </Button>
        </p>
      )}
      {drawing.partial && <Counted counting={counting} />}
      <Slider />
      <OlderRows />
      <details open={!drawn}>
        <summary className="min-h-6 text-muted">The graph as a list</summary>
        <Outline drawing={drawing} />
      </details>
    </div>
  );
}

const NARROW = "(max-width: 640px)";

/** On a phone the graph is drawn from top to bottom. */
function useNarrow(): boolean {
  return useSyncExternalStore(
    (listener) => {
      const query = window.matchMedia(NARROW);
      query.addEventListener("change", listener);
      return () => { query.removeEventListener("change", listener); };
    },
    () => window.matchMedia(NARROW).matches,
  );
}

/** Says which rows the counts cover, unless it is the whole history. */
function Counted({ counting: { left, running, error, count } }: { counting: Counting }) {
  const { rows } = useRunPage();
  const part = `Counts are of the checkpoints ${String(rows[0]?.version ?? 0)} to ${String(rows.at(-1)?.version ?? 0)} only.`;
  if (error !== null) return <ErrorState error={error} title="The rest of the history couldn't be counted" onRetry={count} />;
  return (
    <p role="status" className="flex flex-wrap items-center gap-2 text-muted">
      {running ? `Counting ${String(left)} older checkpoints` : part}
      {!running && left > 0 && (
        <Button size="sm" onClick={count}>
          Count all {left} older ones
        </Button>
      )}
    </p>
  );
}

function Slider() {
  const { rows, selected, search, select, definition } = useRunPage();
  if (rows.length < 2) return null;
  const at = search.at === undefined || !selected ? rows.length - 1 : rows.indexOf(selected);
  const row = rows[at];
  return (
    <label className="flex flex-wrap items-center gap-x-3">
      <span className="text-muted">Checkpoint</span>
      <input
        type="range"
        min={0}
        max={rows.length - 1}
        value={at}
        aria-valuetext={row ? `${String(row.version)}: ${rowTitle(row, definition)}` : undefined}
        className="min-h-6 min-w-40 grow accent-accent"
        onChange={(event) => {
          const next = Number(event.target.value);
          // At the end it follows the run again.
          select(next === rows.length - 1 ? undefined : rows[next]?.version);
        }}
      />
      <span className="w-full sm:w-64">{row && `${String(row.version)}: ${rowTitle(row, definition)}`}</span>
    </label>
  );
}
