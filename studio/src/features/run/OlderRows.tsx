import { type FormEvent, useState } from "react";
import { Button } from "@/ui/Button";
import { Input } from "@/ui/fields";
import { useRunPage } from "./data";

/** Says which part of a long history is loaded, and loads the rest. */
export function OlderRows() {
  const { rows, view, known, store, later, select } = useRunPage();
  const [first, last] = [rows[0]?.version ?? 0, rows.at(-1)?.version ?? 0];
  if (first === 0 && !later) return null;
  const part = later ? `Checkpoints ${String(first)} to ${String(last)} of ${String(view.version + 1)}.` : `The last ${String(rows.length)} of ${String(view.version + 1)} checkpoints.`;
  return (
    <span className="inline-flex flex-wrap items-center gap-2 text-muted">
      {part}
      {first > 0 && (
        <Button size="sm" pending={known.loadingOlder} onClick={() => void store.olderRows()}>
          Load older ones
        </Button>
      )}
      {later && (
        <>
          <Button size="sm" pending={known.loadingOlder} onClick={() => void store.newerRows()}>
            Load newer ones
          </Button>
          <Button size="sm" variant="ghost" onClick={() => { store.newest(); select(undefined); }}>
            Go to the newest
          </Button>
        </>
      )}
      <GoTo most={view.version} />
    </span>
  );
}

function GoTo({ most }: { most: number }) {
  const { select } = useRunPage();
  const [text, setText] = useState("");
  const go = (event: FormEvent) => {
    event.preventDefault();
    if (text === "") return;
    select(Math.min(most, Math.max(0, Math.floor(Number(text)))));
    setText("");
  };
  return (
    <form onSubmit={go}>
      <Input type="number" min={0} max={most} aria-label="Go to checkpoint" placeholder="Go to…" className="min-h-6! w-24! py-0! text-xs" value={text} onChange={(event) => { setText(event.target.value); }} />
    </form>
  );
}
