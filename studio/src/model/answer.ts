/** The questions that a run asks a person now, and the controls that answer them. */
import type { Ask, ButtonWidget, Checkpoint, FormWidget, Problem, PromptInputWidget, Run, Widget } from "@/api/types";
import { words } from "./definition";
import { clock, moment, type Millis, type Zone } from "./time";

export type Control =
  | { kind: "form"; ask: Ask; widget: FormWidget | null }
  | { kind: "prompt"; ask: Ask; widget: PromptInputWidget }
  | { kind: "button"; ask: Ask; widget: ButtonWidget | null };

export interface Controls {
  shown: readonly Control[];
  /** Questions whose declared controls aren't enabled at this place, but that may still be answered. */
  others: readonly Control[];
}

/** First the widgets declared in Python, in their order; for every other waiting transition a form for its payload, or a button. */
export function controlsOf(asks: readonly Ask[], widgets: readonly Widget[], place: string): Controls {
  const declared = new Set(widgets.map((widget) => widget.transition));
  const enabled = widgets.filter((widget) => isEnabled(widget, place));
  const byName = new Map(asks.map((ask) => [ask.transition, ask]));
  const own = enabled.flatMap((widget): Control[] => {
    const ask = byName.get(widget.transition);
    return ask ? [controlOf(ask, widget)] : [];
  });
  const covered = new Set(own.map((control) => control.ask.transition));
  const rest = asks.filter((ask) => !covered.has(ask.transition));
  return {
    shown: [...own, ...rest.filter((ask) => !declared.has(ask.transition)).map(plain)],
    others: rest.filter((ask) => declared.has(ask.transition)).map(plain),
  };
}

export function isEnabled(widget: Widget, place: string): boolean {
  return widget.enabled_at.length === 0 || widget.enabled_at.includes(place);
}

/** Why a widget of a document can't be used now; null if it can. */
export function widgetOff(widget: Widget, asks: readonly Ask[], run: Pick<Run, "place" | "status">): string | null {
  if (asks.some((ask) => ask.transition === widget.transition) && isEnabled(widget, run.place)) return null;
  if (run.status === "completed" || run.status === "canceled") return "The run has ended.";
  return `Not now: the run is in '${run.place}'.`;
}

function controlOf(ask: Ask, widget: Widget): Control {
  switch (widget.type) {
    case "form":
      return takesNothing(ask) ? { kind: "button", ask, widget: null } : { kind: "form", ask, widget };
    case "prompt-input":
      return { kind: "prompt", ask, widget };
    case "button":
      return { kind: "button", ask, widget };
  }
}

function plain(ask: Ask): Control {
  return takesNothing(ask) ? { kind: "button", ask, widget: null } : { kind: "form", ask, widget: null };
}

/** True if there is nothing to fill in: no payload, or one without fields. */
export function takesNothing({ schema }: Ask): boolean {
  if (schema === null) return true;
  const { properties, type } = schema;
  return type === "object" && schema.additionalProperties !== true && Object.keys((properties as object | undefined) ?? {}).length === 0;
}

export function labelOf({ ask, widget }: Control): string {
  return widget?.label ?? (ask.title || words(ask.transition));
}

/** What a prompt sends: the text in the field that the widget names, or as it is. */
export function promptData(widget: PromptInputWidget, text: string): string | Record<string, string> {
  return widget.field === null ? text : { [widget.field]: text };
}

// -- one wait ------------------------------------------------------------------------------------------------------

export interface Wait {
  workflowId: string;
  place: string;
  /** The version by which the place was entered. */
  entered: number;
}

/** The current visit of the run, from the part of the history that is known. */
export function waitOf(run: Pick<Run, "workflow_id" | "place">, rows: readonly Checkpoint[]): Wait {
  const last = rows.findLast((row) => row.target !== null || row.version === 0);
  return { workflowId: run.workflow_id, place: run.place, entered: last?.version ?? 0 };
}

/** Names a wait in storage and in idempotency keys. */
export function waitId({ workflowId, place, entered }: Wait, transition: string): string {
  return `${workflowId}:${String(entered)}:${place}:${transition}`;
}

/** Why an answer was refused. Who was faster is told by name, where that is known. */
export function refusal(problem: Problem, now: Millis, zone?: Zone): string {
  const { by, at } = problem;
  if (problem.type === TOO_LATE && at !== undefined) {
    const whose = by === undefined ? "" : ` by ${by}`;
    return `Already answered${whose} at ${clock(moment(at), now, zone)}: your answer came too late, and wasn't stored.`;
  }
  if (problem.type === NOT_ASKED) return "You aren't asked this, or not any more: it may have been assigned to somebody else.";
  return problem.detail || problem.title;
}

const TOO_LATE = "urn:stepwell:already-answered";
const NOT_ASKED = "urn:stepwell:workflow-not-found";

/** Why a form that was opened for `wait` can't be sent any more; null while it can. */
export function lockOf(wait: Wait, rows: readonly Checkpoint[], now: Millis, zone?: Zone): string | null {
  const row = rows.find((one) => one.version > wait.entered && (one.target !== null || one.status === "canceled"));
  if (!row) return null;
  const at = clock(moment(row.finished_at), now, zone);
  if (row.status === "canceled") return `The run was cancelled at ${at}.`;
  const what = row.transition === null ? "the run went on" : words(row.transition);
  return row.answered_by === null ? `The run went on at ${at}: ${what}.` : `Answered by ${row.answered_by} at ${at}: ${what}.`;
}
