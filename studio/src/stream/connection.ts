/** One stream that reconnects by itself. It uses `fetch`, which shows statuses and lets us set `Last-Event-ID`. */
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

/** Nothing is opened before `start`, and nothing is reported after `stop`. */
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

  /** `query` is called at each opening without a last id, and says where to begin. */
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

  /** The connection may be dead without an error: it is reopened, from the last id. */
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
    // Ignore everything from an abandoned attempt.
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
    // Remember the id after reporting it: an event whose listener throws is sent again.
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
