/**
 * A run as it is shown: the fold of its history and documents.
 *
 * `snapshot` makes a view from what was fetched, `fold` adds one event of the stream. Both ways to the same version give
 * the same view. An event that is known changes nothing, so duplicates and replays are harmless; a hole is named in
 * `missing`, and `fill` closes it with what was fetched for it.
 */
import type { Checkpoint, Run, CheckpointEvent, StoredDocument } from "../api/types";

export interface Hole {
  /** Versions strictly between these two are not known. */
  after: number;
  before: number;
}

export interface RunView {
  /** As it was when last heard of. `args`, `state` and `result` are null until they were fetched. */
  run: Run;
  /** The last version that was folded. */
  version: number;
  /** A window of the history that ends at `version`, oldest first. */
  rows: readonly Checkpoint[];
  /** All known documents in order, each older version of a key directly before its successor. */
  documents: readonly StoredDocument[];
  missing: Hole | null;
}

export function snapshot(run: Run, rows: readonly Checkpoint[], documents: readonly StoredDocument[]): RunView {
  const sorted = [...rows].sort((a, b) => a.version - b.version);
  const version = sorted.at(-1)?.version ?? run.version;
  return { run, version, rows: sorted, documents: inOrder(documents), missing: holeIn(sorted) };
}

/** The view after the event; the same object if it tells nothing new. */
export function fold(view: RunView, event: CheckpointEvent): RunView {
  if (event.workflow_id !== view.run.workflow_id || event.checkpoint.version <= view.version) return view;
  const rows = [...view.rows, event.checkpoint];
  return {
    run: later(view.run, event.run),
    version: event.checkpoint.version,
    rows,
    documents: event.documents.length > 0 ? inOrder([...view.documents, ...event.documents]) : view.documents,
    missing: view.missing ?? holeIn(rows.slice(-2)),
  };
}

export function foldAll(view: RunView, events: readonly CheckpointEvent[]): RunView {
  return events.reduce(fold, view);
}

/** The view of nothing but the first event: how a replay from row 0 begins. */
export function begin(event: CheckpointEvent): RunView {
  return snapshot(event.run, [event.checkpoint], event.documents);
}

/** The view with rows and documents that were fetched for a hole, or for what lies before the window. */
export function fill(
  view: RunView,
  rows: readonly Checkpoint[],
  documents: readonly StoredDocument[] = [],
): RunView {
  const known = new Map(view.rows.map((row) => [row.version, row]));
  for (const row of rows) if (row.version <= view.version) known.set(row.version, richer(known.get(row.version), row));
  const all = [...known.values()].sort((a, b) => a.version - b.version);
  return { ...view, rows: all, documents: inOrder([...view.documents, ...documents]), missing: holeIn(all) };
}

/** The view with no more than the newest `most` rows, as if it had been opened later. */
export function trim(view: RunView, most: number): RunView {
  return view.rows.length <= most ? view : { ...view, rows: view.rows.slice(-most), missing: holeIn(view.rows.slice(-most)) };
}

/** The view with a run that was fetched by itself (a claim writes no history), unless it is older than what is known. */
export function refresh(view: RunView, run: Run): RunView {
  const next = later(view.run, run);
  return next === view.run ? view : { ...view, run: next };
}

/** The later of two readings of a run, with the values that only the other one has. */
function later(known: Run, heard: Run): Run {
  if (heard.version < known.version) return known;
  if (heard.version === known.version && heard.updated_at < known.updated_at) return known;
  const same = heard.version === known.version;
  return {
    ...heard,
    args: heard.args ?? known.args,
    state: heard.state ?? (same ? known.state : null),
    result: heard.result ?? (same ? known.result : null),
  };
}

/** A row from the history carries the state and the trace; one from the stream doesn't. */
function richer(known: Checkpoint | undefined, heard: Checkpoint): Checkpoint {
  if (!known) return heard;
  return { ...heard, state: heard.state ?? known.state, trace: heard.trace ?? known.trace };
}

function holeIn(rows: readonly Checkpoint[]): Hole | null {
  for (let at = 1; at < rows.length; at += 1) {
    const [before, after] = [rows[at - 1] as Checkpoint, rows[at] as Checkpoint];
    if (after.version !== before.version + 1) return { after: before.version, before: after.version };
  }
  return null;
}

// -- documents -----------------------------------------------------------------------------------------------------

/** Each document once, a key's versions at the place of the first one, and all but the last marked as replaced. */
export function inOrder(documents: readonly StoredDocument[]): StoredDocument[] {
  const known = new Map<string, StoredDocument>();
  for (const one of documents) known.set(one.id, laterCopy(known.get(one.id), one));
  const byVersion = [...known.values()].sort(bySaving);
  const chains = new Map<string, StoredDocument[]>();
  for (const one of byVersion) {
    const name = one.key === null ? `#${one.id}` : `=${one.key}`;
    const chain = chains.get(name);
    if (chain) chain.push(one);
    else chains.set(name, [one]);
  }
  return [...chains.values()].flatMap(replacedButLast);
}

function replacedButLast(chain: StoredDocument[]): StoredDocument[] {
  return chain.map((one, at) => {
    const next = chain[at + 1];
    return next && one.replaced_at !== next.created_at ? { ...one, replaced_at: next.created_at } : one;
  });
}

function laterCopy(known: StoredDocument | undefined, heard: StoredDocument): StoredDocument {
  return known && known.replaced_at !== null && heard.replaced_at === null ? known : heard;
}

function bySaving(a: StoredDocument, b: StoredDocument): number {
  return a.version - b.version || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

export interface DocumentVersions {
  /** The current version. */
  current: StoredDocument;
  /** Those it replaced, oldest first. */
  older: readonly StoredDocument[];
}

/** What a feed shows: one item for each key, and one for each document without a key. */
export function feedOf(documents: readonly StoredDocument[]): DocumentVersions[] {
  const items: DocumentVersions[] = [];
  let older: StoredDocument[] = [];
  for (const [at, one] of documents.entries()) {
    const next = documents[at + 1];
    if (one.key !== null && next?.key === one.key) older.push(one);
    else {
      items.push({ current: one, older });
      older = [];
    }
  }
  return items;
}
