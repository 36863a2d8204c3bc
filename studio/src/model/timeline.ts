/**
 * A run's history as rows of bars: one row per visit of a place, which shows how its time was spent. Below it are the
 * steps of its methods and the runs that it started.
 */
import type { Checkpoint, Child, Run, Step, StoredDocument } from "@/api/types";
import { type DefinedTransition, type Definition, titleOf, transitionOf, transitionsFrom, words } from "./definition";
import { type Look, endedAt, lookOf } from "./status";
import { stepKey } from "./steps";
import { nameOf } from "./subject";
import { type Millis, moment } from "./time";
import { type Visit, visitsOf } from "./visits";

/** `stopped`: it had failed and waited for a person to retry it. `runs`: it waited for the runs that it started. */
export type SegmentKind = "queued" | "work" | "failed" | "canceled" | "backoff" | "stopped" | "person" | "runs" | "event" | "sleep" | "void";

export interface Segment {
  kind: SegmentKind;
  from: Millis;
  to: Millis;
  /** Still going on: `to` is now. */
  open: boolean;
  /** The history row that ended it. */
  version: number | null;
  attempt: number | null;
  error: string | null;
}

export interface TimelineRow {
  key: string;
  kind: "visit" | "visits" | "step" | "child" | "children" | "unused";
  depth: 0 | 1;
  label: string;
  /** Shown after the label: from where to where, or which workflow. */
  note: string;
  segments: readonly Segment[];
  from: Millis;
  to: Millis;
  open: boolean;
  /** The history row that shows its outcome; null: none yet. */
  version: number | null;
  attempts: number;
  child: Child | null;
  /** For `children`: the number of runs in each status. */
  counts: Readonly<Partial<Record<Look, number>>> | null;
  /** For `visits`: the total time of all of them. */
  spent?: Readonly<Partial<Record<SegmentKind, Millis>>>;
}

export interface TimelineSource {
  run: Run;
  rows: readonly Checkpoint[];
  steps?: readonly Step[] | undefined;
  children?: readonly Child[] | undefined;
  /** Links in them name the row that started each child. */
  documents?: readonly StoredDocument[] | undefined;
  definition?: Definition | null | undefined;
  /** Transitions that a person may answer now; by default all that the run waits for. */
  answerable?: readonly string[] | undefined;
  /** Later rows exist that aren't shown: nothing here is still going on. */
  later?: boolean | undefined;
  /** The transitions of a child that a person may answer; undefined: not known. */
  asked?: ((run: Run) => readonly string[] | undefined) | undefined;
}

export interface Timeline {
  rows: readonly TimelineRow[];
  from: Millis;
  to: Millis;
  /** Earlier rows of the history exist that aren't shown. */
  earlier: boolean;
}

/** If one visit has more children than this, they share one row with counts. */
export const MOST_CHILDREN = 20;

export function timelineOf(source: TimelineSource, now: Millis): Timeline {
  const known = visitsOf(source.run, source.rows);
  const visits = source.later === true ? known.filter((visit) => visit.rows.length > 0) : known;
  const steps = stepsByVisit(source.steps ?? [], visits);
  const children = childrenByVisit(source, visits);
  const rows = visits.flatMap((visit) => [
    visitRow(visit, source, now),
    ...stepRows(visit, steps.get(visit) ?? []),
    ...childRows(visit, children.get(visit) ?? [], source, now),
    ...unusedRows(visit, visits, source),
  ]);
  const from = Math.min(...rows.map((row) => row.from), visits[0]?.from ?? moment(source.run.created_at));
  const to = rows.reduce((latest, row) => Math.max(latest, row.to), from);
  return { rows, from, to, earlier: (source.rows[0]?.version ?? 0) > 0 };
}

// -- one visit -----------------------------------------------------------------------------------------------------

function visitRow(visit: Visit, source: TimelineSource, now: Millis): TimelineRow {
  const segments = segmentsOf(visit, source, now);
  const last = visit.left ?? visit.rows.at(-1) ?? null;
  const open = segments.at(-1)?.open ?? false;
  return {
    key: `visit-${visit.entered}`,
    kind: "visit",
    depth: 0,
    label: last?.transition ? titleOf(source.definition, last.transition) : words(visit.place),
    note: `${last?.target ? `${visit.place} → ${last.target}` : `in ${visit.place}`}${last?.answered_by ? `, answered by ${last.answered_by}` : ""}`,
    segments,
    from: visit.from,
    to: segments.at(-1)?.to ?? visit.from,
    open,
    version: last?.version ?? null,
    attempts: visit.rows.length,
    child: null,
    counts: null,
  };
}

function segmentsOf(visit: Visit, source: TimelineSource, now: Millis): Segment[] {
  const segments: Segment[] = [];
  let at = visit.from;
  let before: Checkpoint | null = null;
  for (const row of visit.rows) {
    const [started, finished] = [moment(row.started_at), moment(row.finished_at)];
    push(segments, idleKind(visit, row, before, source), at, started, row);
    push(segments, workKind(row), Math.max(started, at), finished, row, true);
    at = Math.max(at, finished);
    before = row;
  }
  if (visit.until !== null && visit.until > at) segments.push(segment("backoff", at, visit.until));
  const here = visit.left === null && visit.until === null && source.later !== true;
  return here ? [...segments, ...openSegments(visit, source, at, before, now)] : segments;
}

function segment(kind: SegmentKind, from: Millis, to: Millis, version: number | null = null): Segment {
  return { kind, from, to: Math.max(from, to), open: false, version, attempt: null, error: null };
}

function push(segments: Segment[], kind: SegmentKind, from: Millis, to: Millis, row: Checkpoint, always = false): void {
  if (to <= from && !always) return;
  const worked = kind === "work" || kind === "failed" || kind === "canceled";
  const attempt = worked ? row.attempt : null;
  segments.push({ ...segment(kind, from, to, row.version), attempt, error: worked ? row.error : null });
}

function workKind(row: Checkpoint): SegmentKind {
  return row.status === "committed" ? "work" : row.status;
}

/** How the time before an attempt was spent. */
function idleKind(visit: Visit, row: Checkpoint, before: Checkpoint | null, source: TimelineSource): SegmentKind {
  if (before?.status === "failed") return hasBudget(before, source.definition) ? "backoff" : "stopped";
  return waitKind(visit.place, row.transition, source);
}

function hasBudget(row: Checkpoint, definition: Definition | null | undefined): boolean {
  if (!definition) return true;
  const retries = transitionOf(definition, row.transition, row.source)?.retry?.retries ?? 0;
  return row.attempt <= retries;
}

function waitKind(place: string, transition: string | null, source: TimelineSource): SegmentKind {
  const taken = transitionOf(source.definition, transition, place);
  const kinds = taken ? [taken] : transitionsFrom(source.definition, place);
  const callbacks = new Set((source.children ?? []).map((child) => child.callback));
  if (kinds.some((one) => one.kind === "signal" && !callbacks.has(one.name))) return "person";
  if (kinds.length === 0 || kinds.some((one) => one.kind === "automatic")) return "queued";
  return stillKind(kinds);
}

/** Signals that no person has to send: the callback of a run that this one started is a signal too. */
function stillKind(kinds: readonly DefinedTransition[]): SegmentKind {
  if (kinds.some((one) => one.kind === "signal")) return "runs";
  return kinds.some((one) => one.kind === "event") ? "event" : "sleep";
}

/** What the current visit is doing. */
function openSegments(
  visit: Visit,
  { run, ...rest }: TimelineSource,
  at: Millis,
  before: Checkpoint | null,
  now: Millis,
): Segment[] {
  const goesOn = (kind: SegmentKind, from: Millis): Segment => ({
    ...segment(kind, from, now),
    open: true,
    attempt: run.attempt + 1,
  });
  switch (run.status) {
    case "pending": {
      const due = Math.max(at, moment(run.due_at) ?? at);
      return due >= now ? [goesOn("sleep", at)] : [...(due > at ? [segment("sleep", at, due)] : []), goesOn("queued", due)];
    }
    case "retrying":
      return [goesOn("backoff", at)];
    case "waiting":
      return [goesOn(lookOf(run, rest.answerable) === "waiting" ? "person" : stillKind(transitionsFrom(rest.definition, visit.place)), at)];
    case "running": {
      const since = Math.max(at, Math.min(moment(run.updated_at), now));
      const idle = before?.status === "failed" ? "backoff" : waitKind(visit.place, null, { run, ...rest });
      return [...(since > at ? [segment(idle, at, since)] : []), goesOn("work", since)];
    }
    default:
      return [];
  }
}

// -- steps ---------------------------------------------------------------------------------------------------------

function stepsByVisit(steps: readonly Step[], visits: readonly Visit[]): Map<Visit, Step[]> {
  const found = new Map<Visit, Step[]>();
  for (const step of steps) {
    const at = moment(step.recorded_at);
    // After a detour the origin's visit goes on under its old number; only the time tells the two parts apart.
    const visit =
      visits.find((one) => one.entered === step.visit && (one.left === null || moment(one.left.finished_at) >= at)) ??
      visits.findLast((one) => one.from <= at && one.rows.some((row) => row.transition === step.transition));
    if (visit) found.set(visit, [...(found.get(visit) ?? []), step]);
  }
  return found;
}

function stepRows(visit: Visit, steps: readonly Step[]): TimelineRow[] {
  const inTime = [...steps].sort((a, b) => moment(a.recorded_at) - moment(b.recorded_at));
  return inTime.map((step) => {
    const to = moment(step.recorded_at);
    const row = visit.rows.find((one) => moment(one.finished_at) >= to) ?? null;
    const from = Math.min(to, moment(step.started_at));
    return {
      key: stepKey(step),
      kind: "step",
      depth: 1,
      label: step.name,
      note: stepNote(step),
      segments: [segment(step.status === "failed" || step.status === "unknown" ? "failed" : "work", from, to, row?.version)],
      from,
      to,
      open: false,
      version: row?.version ?? null,
      attempts: step.attempts,
      child: null,
      counts: null,
    };
  });
}

/** How a step ended, as far as it isn't the usual: its value is what the row is for. */
function stepNote(step: Step): string {
  if (step.undone_at !== null) return `step, undone by ${step.undo ?? "its undo"}`;
  if (step.status === "started") return "step that may run only once, begun";
  if (step.status === "unknown") return "step with an unknown outcome";
  if (step.status === "failed") return `step that failed: ${step.error ?? ""}`;
  return "step";
}

/** Signals that were accepted during a visit, or before it, and that no transition took. */
function unusedRows(visit: Visit, visits: readonly Visit[], { rows, definition }: TimelineSource): TimelineRow[] {
  const lastOf = (one: Visit) => one.rows.at(-1)?.version ?? one.entered;
  const owner = (row: Checkpoint) => visits.findLast((one) => one.rows.length > 0 && lastOf(one) < row.version) ?? visits[0];
  return rows
    .filter((row) => row.status === "void" && owner(row) === visit)
    .map((row) => {
      const at = moment(row.finished_at);
      return {
        key: `unused-${String(row.version)}`,
        kind: "unused",
        depth: 1,
        label: row.transition ? titleOf(definition, row.transition) : "Signal",
        note: "not used",
        segments: [{ ...segment("void", at, at, row.version), error: row.error }],
        from: at,
        to: at,
        open: false,
        version: row.version,
        attempts: 0,
        child: null,
        counts: null,
      };
    });
}

// -- children ------------------------------------------------------------------------------------------------------

/** A child is made in the commit of the transition that started it; its link, if it has one, names that row. */
function childrenByVisit({ children = [], documents = [] }: TimelineSource, visits: readonly Visit[]): Map<Visit, Child[]> {
  const links = new Map(documents.filter((one) => one.name === "link").map((one) => [one.content.workflow_id, one.version]));
  const found = new Map<Visit, Child[]>();
  for (const child of children) {
    const version = links.get(child.run.workflow_id);
    const at = moment(child.run.created_at);
    const ended = (which: (row: Checkpoint) => boolean) => visits.findLast((one) => one.rows.some(which));
    const visit =
      ended((row) => row.version === version) ??
      ended((row) => moment(row.finished_at) === at) ??
      visits.findLast((one) => one.from <= at) ??
      visits[0];
    if (visit) found.set(visit, [...(found.get(visit) ?? []), child]);
  }
  return found;
}

function childRows(visit: Visit, children: readonly Child[], { asked }: TimelineSource, now: Millis): TimelineRow[] {
  const version = visit.left?.version ?? null;
  if (children.length <= MOST_CHILDREN) return children.map((child) => childRow(child, version, now, asked));
  const rows = children.map((child) => childRow(child, version, now, asked));
  const counts: Partial<Record<Look, number>> = {};
  for (const { run } of children) {
    const look = lookOf(run, asked?.(run));
    counts[look] = (counts[look] ?? 0) + 1;
  }
  const from = Math.min(...rows.map((row) => row.from));
  const to = Math.max(...rows.map((row) => row.to));
  const open = rows.some((row) => row.open);
  const kind = children.some(({ run }) => run.status === "failed") ? "failed" : "work";
  return [
    {
      key: `children-${visit.entered}`,
      kind: "children",
      depth: 1,
      label: `${children.length} runs`,
      note: "started here",
      segments: [{ ...segment(kind, from, to), open }],
      from,
      to,
      open,
      version,
      attempts: children.length,
      child: null,
      counts,
    },
  ];
}

const CHILD_KINDS: Record<Look, SegmentKind> = {
  pending: "queued",
  running: "work",
  waiting: "person",
  sleeping: "sleep",
  retrying: "backoff",
  completed: "work",
  failed: "failed",
  canceled: "canceled",
};

function childRow(child: Child, version: number | null, now: Millis, asked: TimelineSource["asked"]): TimelineRow {
  const { run } = child;
  const from = moment(run.created_at);
  const ended = moment(endedAt(run));
  const to = Math.max(from, ended ?? now);
  const open = ended === null;
  const kind = CHILD_KINDS[lookOf(run, asked?.(run))];
  return {
    key: `child-${run.workflow_id}`,
    kind: "child",
    depth: 1,
    label: child.label ?? nameOf(run),
    note: run.workflow_name,
    segments: [{ ...segment(kind, from, to), open, error: run.error }],
    from,
    to,
    open,
    version,
    attempts: 1,
    child,
    counts: null,
  };
}
