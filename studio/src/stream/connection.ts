/** One stream that keeps itself open: `fetch`, so that statuses are seen and `Last-Event-ID` is ours. */
import { urlOf } from "@/api/client";
import { type Frame, frameReader } from "./frames";
import { BEGINNING, type Happening, SILENT_AFTER, type State, next } from "./phases";

export interface Wiring {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  random: () => number;
  now: () => number;
  setTimeout: (then: () => void, delay: number) => unknown;
  clearTimeout: (timer: unknown) => void;
}

export const BROWSER: Wiring = {
  fetch: (url, init) => fetch(url, init),
  random: Math.random,
  now: Date.now,
  setTimeout: (then, delay) => setTimeout(then, delay),
  clearTimeout: (timer) => { clearTimeout(timer as number); },
};

export interface Told {
  frame: (frame: Frame) => void;
  state: (state: State) => void;
}

/** Nothing is opened before `start`; after `stop` nothing is told any more. */
export class Connection {
  #state: State;
  #abort: AbortController | null = null;
  #timer: unknown = null;
  #watch: unknown = null;
  #stopped = false;
  readonly #path: string;
  readonly #query: () => Record<string, string | number | undefined>;
  readonly #told: Told;
  readonly #wiring: Wiring;

  /** `query` is asked at each opening without a last id: where to begin. */
  constructor(
    path: string,
    told: Told,
    options: { query?: () => Record<string, string | number | undefined>; lastId?: string | null; wiring?: Wiring } = {},
  ) {
    this.#path = path;
    this.#query = options.query ?? (() => ({}));
    this.#told = told;
    this.#wiring = options.wiring ?? BROWSER;
    this.#state = { ...BEGINNING, lastId: options.lastId ?? null };
  }

  get state(): State {
    return this.#state;
  }

  start(): void {
    this.#happen({ kind: "start" });
  }

  /** Closed until `resume`, from the last id. */
  pause(): void {
    this.#happen({ kind: "hidden" });
  }

  resume(): void {
    this.#happen({ kind: "shown" });
  }

  /** It may be dead without knowing it: it is opened again, from the last id. */
  doubt(): void {
    if (this.#state.phase === "live") this.#happen({ kind: "closed" });
  }

  stop(): void {
    this.#stopped = true;
    this.#close();
  }

  #happen(what: Happening): void {
    if (this.#stopped) return;
    const before = this.#state;
    const [state, effect] = next(before, what, this.#wiring.random);
    this.#state = state;
    if (effect.kind === "close" || effect.kind === "wait") this.#close();
    if (effect.kind === "open") this.#open();
    if (effect.kind === "wait") this.#timer = this.#wiring.setTimeout(() => { this.#happen({ kind: "waited" }); }, effect.delay);
    if (state !== before) this.#told.state(state);
  }

  #close(): void {
    this.#abort?.abort();
    this.#abort = null;
    this.#wiring.clearTimeout(this.#timer);
    this.#wiring.clearTimeout(this.#watch);
  }

  #open(): void {
    this.#close();
    const abort = new AbortController();
    this.#abort = abort;
    // Of an attempt that was given up nothing is heard any more.
    const happen = (what: Happening) => { if (this.#abort === abort) this.#happen(what); };
    this.#listen();
    this.#read(abort.signal, happen).then(
      () => { happen({ kind: "closed" }); },
      () => { happen({ kind: "failed", status: null }); },
    );
  }

  async #read(signal: AbortSignal, happen: (what: Happening) => void): Promise<void> {
    const { lastId } = this.#state;
    const query = lastId === null ? this.#query() : {};
    const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
    const response = await this.#wiring.fetch(urlOf(this.#path, query), { headers, signal, credentials: "same-origin", cache: "no-store" });
    if (!response.ok || !response.body) {
      happen({ kind: "failed", status: response.status, retryAfter: retryAfter(response) });
      return;
    }
    happen({ kind: "opened", now: this.#wiring.now() });
    const read = frameReader((frame) => {
      if (!signal.aborted) this.#heard(frame, happen);
    });
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      read(decoder.decode(value, { stream: true }));
    }
  }

  #heard(frame: Frame, happen: (what: Happening) => void): void {
    this.#listen();
    // First told, then remembered: what a listener raises on comes again.
    this.#told.frame(frame);
    if (frame.kind === "end") happen({ kind: "end" });
    else happen({ kind: "heard", id: frame.kind === "ping" ? null : frame.id, now: this.#wiring.now() });
  }

  #listen(): void {
    this.#wiring.clearTimeout(this.#watch);
    this.#watch = this.#wiring.setTimeout(() => { this.#happen({ kind: "silent" }); }, SILENT_AFTER);
  }
}

function retryAfter(response: Response): number | null {
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.min(seconds, 300) * 1000 : null;
}
