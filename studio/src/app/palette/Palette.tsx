import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Dialog as Radix } from "radix-ui";
import { useDeferredValue, useId, useState } from "react";
import { runsQuery, workflowsQuery } from "@/api/queries";
import type { Me } from "@/api/types";
import { cn } from "@/ui/cn";
import { inputClass } from "@/ui/fields";
import { wordsOf } from "@/ui/States";
import { pagesFor } from "../pages";
import type { Entry } from "./entries";
import { entriesFor } from "./entries";
import { useSettled } from "./useSettled";

/** Search for pages, workflows and runs, by keyboard. */
export function Palette({ me, onClose }: { me: Me; onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const navigate = useNavigate();
  const id = useId();
  const { entries, searching, error } = useEntries(me, text);
  const current = Math.min(at, entries.length - 1);
  const go = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    void navigate(entry.go);
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => { setAt((current + 1) % entries.length); },
    ArrowUp: () => { setAt((current - 1 + entries.length) % entries.length); },
    Enter: () => { go(entries[current]); },
  };
  return (
    <Radix.Root open onOpenChange={(open) => { if (!open) onClose(); }}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Radix.Content aria-describedby={undefined} className="fixed top-[8vh] left-1/2 z-40 flex max-h-[80vh] w-[calc(100vw-1rem)] max-w-xl -translate-x-1/2 flex-col rounded-md bg-surface shadow-overlay">
          <Radix.Title className="sr-only">Search</Radix.Title>
          <div className="border-b p-2">
            <input
              role="combobox"
              aria-label="Search pages, workflows and runs"
              aria-expanded={entries.length > 0}
              aria-controls={`${id}-list`}
              aria-activedescendant={entries[current] && `${id}-${String(current)}`}
              aria-autocomplete="list"
              autoComplete="off"
              spellCheck={false}
              placeholder="Search pages, workflows, runs by text or id"
              className={cn(inputClass, "min-h-9")}
              value={text}
              onChange={(event) => {
                setText(event.target.value);
                setAt(0);
              }}
              onKeyDown={(event) => {
                const act = keys[event.key];
                if (!act || event.nativeEvent.isComposing) return;
                event.preventDefault();
                act();
              }}
            />
          </div>
          <div id={`${id}-list`} role="listbox" aria-label="Found" tabIndex={-1} className="min-h-24 overflow-y-auto p-1">
            {[...new Set(entries.map((entry) => entry.group))].map((group) => (
              <Group key={group} group={group} id={id} entries={entries} current={current} onPick={go} onPoint={setAt} />
            ))}
          </div>
          <p role="status" className="border-t px-3 py-1.5 text-xs text-muted">
            {error ? `The runs can't be searched: ${wordsOf(error).detail}` : searching ? "Searching runs…" : `${String(entries.length)} found`}
          </p>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

function useEntries(me: Me, text: string) {
  const asked = useSettled(useDeferredValue(text.trim()), 200);
  const workflows = useQuery(workflowsQuery());
  const runs = useQuery({ ...runsQuery({ q: asked }, { limit: 8 }), enabled: asked !== "", placeholderData: keepPreviousData });
  const entries = entriesFor(text, {
    pages: pagesFor(me),
    workflows: workflows.data ?? [],
    runs: asked === "" ? [] : (runs.data?.items ?? []),
    starts: me.role !== "viewer",
  });
  return { entries, searching: asked !== "" && runs.isFetching, error: runs.error };
}

interface GroupProps {
  group: Entry["group"];
  id: string;
  entries: readonly Entry[];
  current: number;
  onPick: (entry: Entry) => void;
  onPoint: (at: number) => void;
}

function Group({ group, id, entries, current, onPick, onPoint }: GroupProps) {
  return (
    <div role="group" aria-label={group}>
      <p aria-hidden className="px-2 pt-2 pb-1 text-xs text-muted">
        {group}
      </p>
      {entries.map((entry, at) =>
        entry.group === group ? (
          <div
            key={entry.id}
            id={`${id}-${String(at)}`}
            role="option"
            aria-selected={at === current}
            ref={(row) => { if (row && at === current) row.scrollIntoView({ block: "nearest" }); }}
            className="flex min-h-8 cursor-pointer items-center justify-between gap-3 rounded-sm px-2 aria-selected:bg-hover"
            onPointerMove={() => { onPoint(at); }}
            onClick={() => { onPick(entry); }}
          >
            <span className="min-w-0 truncate">{entry.name}</span>
            <span className="shrink-0 text-xs text-muted">{entry.hint}</span>
          </div>
        ) : null,
      )}
    </div>
  );
}
