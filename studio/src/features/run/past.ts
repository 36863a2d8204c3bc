/**
 * The part of a run before its newest end: its history and its documents in pages, walked backwards and forwards. A few pages
 * are added before the loaded ones; beyond that the page shows a part of the past, while the newest end is updated
 * by itself.
 */
import type { DocumentsWindow, HistoryWindow } from "@/api/queries";
import type { Checkpoint, StoredDocument } from "@/api/types";
import { type RunView, fill } from "@/model/fold";
import { type Walk, begun, itemsOf, withNewer, withOlder } from "@/model/walk";

/** Rows of the history that a page opens with, and that each "older" adds. */
export const ROWS = 200;
/** Rows that are kept at once. */
export const MOST_ROWS = 2_000;
/** Documents that a page opens with, and that each "older" adds. */
export const DOCUMENTS = 500;
/** Documents that are kept at the newest end. */
export const MOST_DOCUMENTS = 2_000;
/** Rows whose states are larger than this together are kept without them: the state of a selected row is fetched. */
const HEAVY = 4_000_000;
/** An answer that is larger may have been cut by the server. */
const CUT = 8_000_000;

export interface Past {
  /** The rows that are shown; null: those at the newest end. */
  pastRows: readonly Checkpoint[] | null;
  pastDocuments: Walk<StoredDocument> | null;
  /** There is no document before the first loaded one. */
  allDocuments: boolean;
}

export interface Reader {
  rows: (window: HistoryWindow) => Promise<Checkpoint[]>;
  documents: (window: DocumentsWindow) => Promise<StoredDocument[]>;
}

type Known = Past & { view: RunView };
type Change = Partial<Known>;

// -- history -------------------------------------------------------------------------------------------------------

export async function olderRows(read: Reader, known: () => Known): Promise<Change> {
  const first = (known().pastRows ?? known().view.rows)[0]?.version ?? 0;
  if (first === 0) return {};
  const rows = light(await read.rows({ before: first, limit: ROWS, newest: true }));
  const { view, pastRows } = known();
  const all = [...rows, ...(pastRows ?? view.rows)];
  if (pastRows === null && all.length <= MOST_ROWS) return { view: fill(view, rows) };
  return { pastRows: all.slice(0, MOST_ROWS) };
}

export async function newerRows(read: Reader, known: () => Known): Promise<Change> {
  const last = known().pastRows?.at(-1)?.version;
  if (last === undefined) return {};
  const rows = light(await read.rows({ after: last, limit: ROWS }));
  const { view, pastRows } = known();
  const end = rows.at(-1)?.version ?? Infinity;
  if (end + 1 >= (view.rows[0]?.version ?? 0)) return { pastRows: null };
  return { pastRows: [...(pastRows ?? []), ...rows].slice(-MOST_ROWS) };
}

/** Shows the rows around that one. */
export async function rowsAround(read: Reader, known: () => Known, version: number): Promise<Change> {
  const { view, pastRows } = known();
  if (version >= (view.rows[0]?.version ?? 0)) return { pastRows: null };
  if (pastRows?.some((row) => row.version === version)) return {};
  const rows = light(await read.rows({ after: Math.max(-1, version - ROWS / 2), limit: ROWS }));
  return rows.length === 0 ? {} : { pastRows: rows };
}

/** Without the states, which are fetched one by one, if they are large. */
export function light(rows: Checkpoint[]): Checkpoint[] {
  let weight = 0;
  for (const row of rows) weight += row.state === null ? 0 : JSON.stringify(row.state).length;
  return weight > HEAVY ? rows.map((row) => ({ ...row, state: null })) : rows;
}

// -- documents -----------------------------------------------------------------------------------------------------

export async function olderDocuments(read: Reader, known: () => Known): Promise<Change> {
  const first = shownDocuments(known())[0];
  if (!first) return { allDocuments: true };
  const page = await read.documents({ replaced: true, newest: true, limit: DOCUMENTS, before: first.id });
  const { view, pastDocuments } = known();
  const allDocuments = isAll(page);
  if (pastDocuments === null && page.length + view.documents.length <= MOST_DOCUMENTS) {
    return { view: fill(view, [], page), allDocuments };
  }
  const walk = pastDocuments ?? begun(view.documents, DOCUMENTS);
  return { pastDocuments: withOlder(walk, { before: first.id, items: page }), allDocuments };
}

export async function newerDocuments(read: Reader, known: () => Known): Promise<Change> {
  const { pastDocuments } = known();
  const before = pastDocuments?.newer.at(-1);
  if (!pastDocuments || before === undefined) return { pastDocuments: null, allDocuments: false };
  const page = await read.documents({ replaced: true, newest: true, limit: DOCUMENTS, before });
  return { pastDocuments: withNewer(pastDocuments, page), allDocuments: false };
}

export function shownDocuments({ view, pastDocuments }: Pick<Known, "view" | "pastDocuments">): readonly StoredDocument[] {
  return pastDocuments ? itemsOf(pastDocuments) : view.documents;
}

/** True if the server had no more: it also cuts large answers. */
export function isAll(page: readonly StoredDocument[], limit = DOCUMENTS): boolean {
  if (page.length === 0) return true;
  if (page.length >= limit) return false;
  let weight = 0;
  for (const one of page) weight += JSON.stringify(one.content).length;
  return weight < CUT;
}
