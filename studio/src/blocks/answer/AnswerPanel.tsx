import { useState } from "react";
import type { Ask, Checkpoint, Me, Run, Widget } from "@/api/types";
import { type Control, type Wait, controlsOf, labelOf, lockOf, waitId, waitOf } from "@/model/answer";
import { useNow } from "@/ui/useNow";
import { AskButton } from "./AskButton";
import { AskForm } from "./AskForm";
import { AskPrompt } from "./AskPrompt";

export interface AnswerPanelProps {
  run: Pick<Run, "workflow_id" | "place" | "status">;
  /** What is answered; by default the visit of the place that `rows` end with. */
  wait?: Wait;
  /** The known part of the history: it shows who answered meanwhile. */
  rows: readonly Checkpoint[];
  asks: readonly Ask[];
  /** Of the workflow. */
  widgets: readonly Widget[];
  me: Me | null;
  /** Why this person may not answer, besides their role. */
  off?: string | null;
  onSent: (run: Run) => void;
}

interface Held {
  wait: Wait;
  control: Extract<Control, { kind: "form" }>;
}

type Prompt = Extract<Control, { kind: "prompt" }>;

/**
 * Everything that can be answered now. A form with typed text that was answered elsewhere stays, locked, and
 * says by whom; an untouched one disappears. A line that was being written when the run ended stays to be copied.
 */
export function AnswerPanel({ run, wait: given, rows, asks, widgets, me, off: other = null, onSent }: AnswerPanelProps) {
  const wait = given ?? waitOf(run, rows);
  const { shown, others } = controlsOf(asks, widgets, run.place);
  const [dirty, setDirty] = useState<readonly Held[]>([]);
  const [written, setWritten] = useState<{ wait: Wait; control: Prompt } | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const off = me?.role === "viewer" ? "You may view runs, but answering needs the role operator." : other;
  const idOf = (one: Held) => waitId(one.wait, one.control.ask.transition);
  const forms = shown.filter((one) => one.kind === "form").map((control): Held => ({ wait, control }));
  const now = new Set(forms.map(idOf));
  const over = dirty.filter((one) => !now.has(idOf(one)));
  const current = forms.find((one) => one.control.ask.transition === chosen) ?? forms[0];
  const mark = (held: Held) => (is: boolean) => {
    setDirty((known) => [...known.filter((one) => idOf(one) !== idOf(held)), ...(is ? [held] : [])]);
  };
  const sent = (result: Run) => {
    setChosen(null);
    onSent(result);
  };
  const write = (control: Prompt) => (is: boolean) => { setWritten(is ? { wait, control } : null); };
  const cutOff = run.status === "completed" || run.status === "canceled" ? written : null;
  if (shown.length + others.length + over.length === 0 && !cutOff) return null;
  return (
    <div className="flex min-w-0 flex-col gap-3">
      {forms.length > 1 && <Choice forms={forms} current={current} onChoose={setChosen} />}
      {[...over, ...forms].map((held) => {
        const gone = over.includes(held);
        return (
          <div key={idOf(held)} role="group" hidden={!gone && held !== current} aria-label={labelOf(held.control)}>
            {(gone || forms.length === 1) && <h2>{held.control.widget?.title ?? labelOf(held.control)}</h2>}
            <Locking held={held} rows={rows} gone={gone}>
              {(lock) => <AskForm wait={held.wait} control={held.control} lock={lock} off={off} onDirty={mark(held)} onSent={sent} />}
            </Locking>
          </div>
        );
      })}
      <Small controls={shown} wait={wait} off={off} onWrite={write} onSent={sent} />
      {cutOff && <CutOff {...cutOff} rows={rows} onSent={sent} />}
      {others.length > 0 && (
        <details>
          <summary className="min-h-6 text-muted">More answers</summary>
          <div className="flex flex-col gap-3 pt-2">
            {others.map((control) =>
              control.kind === "form" ? (
                <AskForm key={control.ask.transition} wait={wait} control={control} lock={null} off={off} onDirty={mark({ wait, control })} onSent={sent} />
              ) : null,
            )}
            <Small controls={others} wait={wait} off={off} onWrite={write} onSent={sent} />
          </div>
        </details>
      )}
    </div>
  );
}

function Locking({ held, rows, gone, children }: { held: Held; rows: readonly Checkpoint[]; gone: boolean; children: (lock: string | null) => React.ReactNode }) {
  const now = useNow(60_000);
  return children(gone ? (lockOf(held.wait, rows, now) ?? "This is no longer asked.") : null);
}

/** What was being written when the run ended, to be copied. */
function CutOff({ wait, control, rows, onSent }: { wait: Wait; control: Prompt; rows: readonly Checkpoint[]; onSent: (run: Run) => void }) {
  const why = lockOf(wait, rows, useNow(60_000)) ?? "The run has ended.";
  return (
    <div role="group" aria-label={labelOf(control)} className="flex flex-col gap-1">
      <p className="text-muted">{why}</p>
      <AskPrompt wait={wait} control={control} off={why} onSent={onSent} />
    </div>
  );
}

/** Several questions with forms, of which one is open. */
function Choice({ forms, current, onChoose }: { forms: readonly Held[]; current: Held | undefined; onChoose: (transition: string) => void }) {
  return (
    <>
      <h2>Answer</h2>
      <div role="group" aria-label="Which answer" className="flex flex-wrap gap-1 border-b">
        {forms.map((held) => (
          <button
            key={held.control.ask.transition}
            type="button"
            data-inset-focus
            aria-pressed={held === current}
            className="-mb-px min-h-9 border-b-2 border-transparent px-3 font-medium text-muted hover:text-ink aria-pressed:border-accent aria-pressed:text-ink"
            onClick={() => { onChoose(held.control.ask.transition); }}
          >
            {held.control.widget?.title ?? labelOf(held.control)}
          </button>
        ))}
      </div>
    </>
  );
}

interface SmallProps {
  controls: readonly Control[];
  wait: Wait;
  off: string | null;
  onWrite: (control: Prompt) => (is: boolean) => void;
  onSent: (run: Run) => void;
}

/** Text lines and buttons, in the order in which they were declared. */
function Small({ controls, wait, off, onWrite, onSent }: SmallProps) {
  const small = controls.filter((one) => one.kind !== "form");
  if (small.length === 0) return null;
  return (
    <div className="flex flex-wrap items-start gap-2">
      {small.map((control, at) =>
        control.kind === "prompt" ? (
          <AskPrompt key={`${control.ask.transition}-${String(at)}`} wait={wait} control={control} off={off} onDirty={onWrite(control)} onSent={onSent} />
        ) : (
          <AskButton key={`${control.ask.transition}-${String(at)}`} wait={wait} control={control} off={off} onSent={onSent} />
        ),
      )}
    </div>
  );
}
