/** A browser whose time the tests move, and a server that streams what they specify. */
import type { CheckpointEvent } from "@/api/types";
import type { Wiring } from "./connection";
import type { Channel, Locks, Surroundings } from "./shared";

interface Timer {
  at: number;
  then: () => void;
}

export class FakeTime {
  now = 1_000_000;
  #timers = new Set<Timer>();

  readonly setTimeout = (then: () => void, delay: number): unknown => {
    const timer = { at: this.now + delay, then };
    this.#timers.add(timer);
    return timer;
  };

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as Timer);
  };

  /** Lets time pass; everything that becomes due happens in order. */
  async pass(millis: number): Promise<void> {
    const until = this.now + millis;
    await settled();
    for (;;) {
      const due = [...this.#timers].filter((one) => one.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.now = Math.max(this.now, due.at);
      due.then();
      await settled();
    }
    this.now = until;
  }
}

/** Waits until all resolved promises have been handled. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 0));
}

export interface Served {
  url: string;
  lastId: string | null;
  aborted: () => boolean;
  send: (text: string) => void;
  close: () => void;
  cut: () => void;
}

export class FakeServer {
  readonly served: Served[] = [];
  /** The answer to the next requests, instead of a stream; null: no answer. */
  readonly refusals: (number | null)[] = [];
  onOpen: (served: Served) => void = () => undefined;

  readonly fetch = (url: string, init: RequestInit): Promise<Response> => {
    const signal = init.signal as AbortSignal;
    const refusal = this.refusals.shift();
    if (refusal === null) return Promise.reject(new TypeError("network"));
    if (refusal !== undefined) return Promise.resolve(new Response("no", { status: refusal }));
    let controller: ReadableStreamDefaultController<Uint8Array>;
    const body = new ReadableStream<Uint8Array>({ start: (given) => { controller = given; } });
    const fail = () => {
      try {
        controller.error(new TypeError("cut"));
      } catch {
        // it was closed already
      }
    };
    signal.addEventListener("abort", fail);
    const served: Served = {
      url,
      lastId: (init.headers as Record<string, string>)["Last-Event-ID"] ?? null,
      aborted: () => signal.aborted,
      send: (text) => { if (!signal.aborted) controller.enqueue(new TextEncoder().encode(text)); },
      close: () => { if (!signal.aborted) controller.close(); },
      cut: fail,
    };
    this.served.push(served);
    const response = new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream" } });
    void settled().then(() => { this.onOpen(served); });
    return Promise.resolve(response);
  };

  get last(): Served {
    const last = this.served.at(-1);
    if (!last) throw new Error("Nothing was opened.");
    return last;
  }

  get open(): Served[] {
    return this.served.filter((one) => !one.aborted());
  }
}

export function checkpointText(event: CheckpointEvent, id: string | number): string {
  return `event: checkpoint\nid: ${String(id)}\ndata: ${JSON.stringify(event)}\n\n`;
}

export function wiringOf(time: FakeTime, server: FakeServer): Wiring {
  return {
    fetch: server.fetch,
    random: () => 0.5,
    now: () => time.now,
    setTimeout: time.setTimeout,
    clearTimeout: time.clearTimeout,
  };
}

/** Some tabs of one browser: they share locks and channels. */
export class FakeBrowser {
  readonly time = new FakeTime();
  readonly server = new FakeServer();
  #waiting: { name: string; held: () => void }[] = [];
  #holder: { name: string; held: () => void } | null = null;
  #channels = new Set<{ name: string; heard: (message: unknown) => void }>();

  readonly locks: Locks = (name, held) => {
    const request = { name, held };
    this.#waiting.push(request);
    this.#next();
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== request);
      if (this.#holder === request) this.#holder = null;
      this.#next();
    };
  };

  #next(): void {
    const first = this.#waiting[0];
    if (this.#holder || !first) return;
    this.#holder = this.#waiting.shift() as typeof first;
    this.#holder.held();
  }

  readonly channel = (name: string): Channel => {
    const mine: { name: string; heard: (message: unknown) => void } = { name, heard: () => undefined };
    this.#channels.add(mine);
    return {
      post: (message) => {
        const copy: unknown = structuredClone(message);
        for (const one of this.#channels) if (one !== mine && one.name === name) one.heard(copy);
      },
      listen: (heard) => { mine.heard = heard; },
      close: () => { this.#channels.delete(mine); },
    };
  };

  tab(): Tab {
    return new Tab(this);
  }
}

export class Tab {
  hidden = false;
  #changed = new Set<() => void>();
  #lost = new Set<() => void>();
  readonly around: Surroundings;

  constructor(browser: FakeBrowser, { locks = true } = {}) {
    this.around = {
      wiring: wiringOf(browser.time, browser.server),
      channel: browser.channel,
      locks: locks ? browser.locks : null,
      hidden: () => this.hidden,
      onVisibility: (changed) => {
        this.#changed.add(changed);
        return () => this.#changed.delete(changed);
      },
      onOffline: (lost) => {
        this.#lost.add(lost);
        return () => this.#lost.delete(lost);
      },
    };
  }

  show(shown: boolean): void {
    this.hidden = !shown;
    for (const one of this.#changed) one();
  }

  goOffline(): void {
    for (const one of this.#lost) one();
  }
}
