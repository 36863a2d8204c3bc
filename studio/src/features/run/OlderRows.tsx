import { Button } from "@/ui/Button";
import { useRunPage } from "./data";

/** Says that only the end of a long history is there, and loads what is before it. */
export function OlderRows() {
  const { rows, run, known, store } = useRunPage();
  const first = rows[0]?.version ?? 0;
  if (first === 0) return null;
  return (
    <span className="inline-flex flex-wrap items-center gap-2 text-muted">
      The last {rows.length} of {run.version + 1} checkpoints.
      <Button size="sm" pending={known.loadingOlder} onClick={() => void store.olderRows()}>
        Load older ones
      </Button>
    </span>
  );
}
