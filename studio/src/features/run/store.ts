/**
 * The data of the run on screen: a view into which the stream's events are folded, once per frame. Opens with the run
 * and the end of its history, never with all of it.
 */
import type { QueryClient } from "@tanstack/react-query";
import { path } from "@/api/client";
import { documentsQuery, historyQuery, runQuery } from "@/api/queries";
import type { CheckpointEvent } from "@/api/types";
import { type RunView, fill, foldAll, refresh, snapshot, trim } from "@/model/fold";
import { isFinished, isMoving } from "@/model/status";
import { DOCUMENTS, MOST_DOCUMENTS, MOST_ROWS, type Past, ROWS, type Reader, isAll, newerDocuments, newerRows, olderDocuments, olderRows, rowsAround } from "./past";
import { Batch, atMostEvery } from "@/stream/batch";
import { Connection } from "@/stream/connection";
import type { Frame } from "@/stream/frames";
import { type Release, takeSlot } from "@/stream/slots";
import { type LiveStatus, NOT_YET, statusOf } from "@/stream/status";

/** The number of rows that an open page keeps, unless the user loaded older ones. */
const KEPT_ROWS = 1_000;
/** Milliseconds between two updates of the page while much happens. */
const STEP = 100;
/** Milliseconds between two reads of an active run: a claim has no event. */
const LOOK_AGAIN = 2_000;

export interface Known extends Past {
  view: RunView | null;
  live: LiveStatus;
  /** Why there is no view, or why older rows couldn't be loaded. */
  error: unknown;
  loadingOlder: boolean;
}

export class RunStore {
  #known: Known = { view: null, live: NOT_YET, error: null, pastRows: null, pastDocuments: null, allDocuments: false, loadingOlder: false };
  #listeners = new Set<() => void>();
  #connection: Connection | null = null;
  #batch = new Batch<CheckpointEvent>((events) => { this.#fold(events); }, atMostEvery(STEP));
  #timer: ReturnType<typeof setInterval> | null = null;
  #filling = false;
  #wantsAll = false;
  #release: Release | null = null;
  /** It has no stream of its own: the tabs of this browser use all available slots. */
  #shares = false;
  #catching = false;
  #hinted = false;
  #closed = false;
  readonly #client: QueryClient;
  readonly id: string;

  constructor(id: string, client: QueryClient) {
    this.id = id;
    this.#client = client;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly get = (): Known => this.#known;

  /** Opens it; the returned function closes it. */
  open(): () => void {
    this.#closed = false;
    void this.load();
    const shown = () => { this.#visibility(); };
    document.addEventListener("visibilitychange", shown);
    window.addEventListener("online", shown);
    this.#timer = setInterval(() => { this.#lookAgain(); }, LOOK_AGAIN);
    return () => {
      this.#closed = true;
      document.removeEventListener("visibilitychange", shown);
      window.removeEventListener("online", shown);
      if (this.#timer) clearInterval(this.#timer);
      this.#connection?.stop();
      this.#connection = null;
      this.#release?.();
      this.#release = null;
      this.#batch.stop();
    };
  }

  /** Reads the run, then its history and documents up to then; the stream continues from there, so that nothing is missed. */
  async load(): Promise<void> {
    try {
      const run = await this.#client.fetchQuery({ ...runQuery(this.id), staleTime: 0 });
      const [rows, documents] = await Promise.all([
        this.#client.fetchQuery({ ...historyQuery(this.id, { before: run.version + 1, limit: ROWS, newest: true }), staleTime: 0 }),
        this.#reader.documents({ replaced: true, newest: true, limit: DOCUMENTS }),
      ]);
      if (this.#closed) return;
      this.#set({ view: snapshot(run, rows, documents), error: null, pastRows: null, pastDocuments: null, allDocuments: isAll(documents) });
      await this.#listen();
    } catch (error) {
      if (!this.#closed) this.#set({ error });
    }
  }

  /** Loads more rows before the loaded ones. */
  async olderRows(): Promise<void> {
    this.#wantsAll = true;
    await this.#past(olderRows);
  }

  /** Loads more rows after the loaded ones, unless they are the newest. */
  async newerRows(): Promise<void> {
    await this.#past(newerRows);
  }

  /** Shows the row and those around it. */
  async rowsAround(version: number): Promise<void> {
    await this.#past((read, known) => rowsAround(read, known, version));
  }

  async olderDocuments(): Promise<void> {
    this.#wantsAll = true;
    await this.#past(olderDocuments);
  }

  async newerDocuments(): Promise<void> {
    await this.#past(newerDocuments);
  }

  /** Shows the newest end and follows it. */
  newest(): void {
    this.#set({ pastRows: null, ...(this.#known.pastDocuments ? { pastDocuments: null, allDocuments: false } : {}) });
  }

  /** Shows the result of an action on the run without waiting for the stream. */
  async look(): Promise<void> {
    const run = await this.#client.fetchQuery({ ...runQuery(this.id), staleTime: 0 });
    const { view } = this.#known;
    if (!view || this.#closed) return;
    this.#set({ view: refresh(view, run) });
    if (this.#shares && run.version > view.version) await this.#catchUp();
  }

  /** Called when the stream of all runs reports a change of this one: a hint, for when it has no stream of its own. */
  hint(events: readonly CheckpointEvent[], live: LiveStatus): void {
    if (!this.#shares) return;
    if (live.state !== this.#known.live.state) this.#set({ live });
    if (events.some((event) => event.workflow_id === this.id)) void this.#catchUp().catch(report);
  }

  // -- inside --------------------------------------------------------------------------------------------------------

  /** Pages of the past aren't kept after they were dropped. */
  readonly #reader: Reader = {
    rows: (window) => this.#client.fetchQuery({ ...historyQuery(this.id, window), staleTime: 0, gcTime: 0 }),
    documents: (window) => this.#client.fetchQuery({ ...documentsQuery(this.id, window), staleTime: 0, gcTime: 0 }),
  };

  async #past(step: (read: Reader, known: () => Past & { view: RunView }) => Promise<Partial<Known>>): Promise<void> {
    const { view, loadingOlder } = this.#known;
    if (!view || loadingOlder) return;
    this.#set({ loadingOlder: true });
    try {
      const change = await step(this.#reader, () => ({ ...this.#known, view: this.#known.view ?? view }));
      this.#set({ ...change, loadingOlder: false, error: null });
    } catch (error) {
      this.#set({ error, loadingOlder: false });
    }
  }

  async #listen(): Promise<void> {
    if (this.#connection || this.#shares) return;
    this.#release = await takeSlot();
    if (this.#closed) {
      this.#release?.();
      return;
    }
    if (!this.#release) {
      this.#shares = true;
      await this.#catchUp();
      return;
    }
    const told = {
      frame: (frame: Frame) => { if (frame.kind === "checkpoint") this.#batch.add(frame.event); },
      state: () => {
        const { state } = this.#connection ?? {};
        if (state) this.#set({ live: statusOf(state) });
      },
    };
    this.#connection = new Connection(path`/runs/${this.id}/events`, told, { query: () => ({ after: this.#known.view?.version ?? -1 }) });
    this.#connection.start();
  }

  #fold(events: CheckpointEvent[]): void {
    const { view } = this.#known;
    if (!view) return;
    const folded = foldAll(view, events);
    if (folded === view) return;
    // Dropped by a fifth at a time: a window that moved with each event would be a new one each time.
    const keep = this.#wantsAll ? MOST_ROWS : KEPT_ROWS;
    const rowsKept = folded.rows.length < keep * 1.25 ? folded : trim(folded, keep);
    const next = rowsKept.documents.length < MOST_DOCUMENTS * 1.25 ? rowsKept : { ...rowsKept, documents: rowsKept.documents.slice(-MOST_DOCUMENTS) };
    const cut = next.documents.length < folded.documents.length && !this.#known.pastDocuments;
    this.#set({ view: next, ...(cut ? { allDocuments: false } : {}) });
    if (next.missing) void this.#fillHole(next.missing);
    if (isFinished(next.run.status) && next.run.result === null) void this.look().catch(report);
  }

  /** Reads what came after the last known row, as the stream would have sent it. */
  async #catchUp(): Promise<void> {
    this.#hinted = true;
    if (this.#catching) return;
    this.#catching = true;
    try {
      // Hints that arrive during the read cause another one.
      while (this.#takeHint()) await this.#readOn();
    } finally {
      this.#catching = false;
    }
  }

  #takeHint(): boolean {
    const hinted = this.#hinted && !this.#closed;
    this.#hinted = false;
    return hinted;
  }

  async #readOn(): Promise<void> {
    const after = this.#known.view?.version ?? -1;
    const run = await this.#client.fetchQuery({ ...runQuery(this.id), staleTime: 0 });
    const [rows, documents] = await Promise.all([
      this.#client.fetchQuery({ ...historyQuery(this.id, { after, before: run.version + 1 }), staleTime: 0 }),
      this.#client.fetchQuery({ ...documentsQuery(this.id, { replaced: true, after }), staleTime: 0 }),
    ]);
    const of = (version: number) => documents.filter((one) => one.version === version);
    this.#fold(rows.map((checkpoint) => ({ workflow_id: this.id, checkpoint, run, documents: of(checkpoint.version) })));
  }

  async #fillHole({ after, before }: { after: number; before: number }): Promise<void> {
    if (this.#filling) return;
    this.#filling = true;
    try {
      const [rows, documents] = await Promise.all([
        this.#client.fetchQuery({ ...historyQuery(this.id, { after, before }), staleTime: 0 }),
        this.#client.fetchQuery({ ...documentsQuery(this.id, { replaced: true, after }), staleTime: 0 }),
      ]);
      const { view } = this.#known;
      if (view) this.#set({ view: fill(view, rows, documents) });
    } catch (error) {
      this.#set({ error });
    } finally {
      this.#filling = false;
    }
  }

  #lookAgain(): void {
    const { view } = this.#known;
    if (!view || document.hidden || !isMoving(view.run.status)) return;
    void this.look().catch(report);
  }

  #hideTimer: ReturnType<typeof setTimeout> | null = null;

  #visibility(): void {
    if (this.#hideTimer) clearTimeout(this.#hideTimer);
    this.#hideTimer = document.hidden ? setTimeout(() => { this.#connection?.pause(); }, 60_000) : null;
    if (!document.hidden) this.#connection?.resume();
  }

  #set(change: Partial<Known>): void {
    this.#known = { ...this.#known, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** A failed read is repeated automatically; the stream's status shows that the server can't be reached. */
function report(error: unknown): void {
  console.error(error);
}
