/**
 * The stream of all runs, once per browser. HTTP/1.1 gives an origin six connections: the tabs elect one that holds the
 * stream (a Web Lock, which falls to the next when that tab goes) and hands on what it hears by a BroadcastChannel.
 * Where there are no locks (plain HTTP on another host), each tab holds its own.
 */
import type { CheckpointEvent } from "@/api/types";
import { BROWSER, Connection, type Wiring } from "./connection";
import type { Frame } from "./frames";
import { HIDDEN_FOR } from "./phases";
import { type LiveStatus, NOT_YET, statusOf } from "./status";

export interface Listener {
  events: (events: readonly CheckpointEvent[]) => void;
  status: (status: LiveStatus) => void;
  /** Events may have been missed: all fetched data must be refetched. */
  resync: () => void;
}

type Message =
  | { kind: "frames"; events: CheckpointEvent[]; id: string }
  | { kind: "status"; status: LiveStatus; id: string | null }
  | { kind: "who" };

export interface Channel {
  post: (message: unknown) => void;
  listen: (heard: (message: unknown) => void) => void;
  close: () => void;
}

/** Holds the named lock until the returned function is called; `held` is called when the lock is acquired. */
export type Locks = (name: string, held: () => void) => () => void;

export interface Surroundings {
  wiring: Wiring;
  channel: ((name: string) => Channel) | null;
  locks: Locks | null;
  hidden: () => boolean;
  onVisibility: (changed: () => void) => () => void;
  /** The browser believes that the network is down. It may be wrong, and often is for a server on the same machine. */
  onOffline: (lost: () => void) => () => void;
}

export function browserSurroundings(): Surroundings {
  return {
    wiring: BROWSER,
    channel: typeof BroadcastChannel === "undefined" ? null : browserChannel,
    // Without secure contexts there is no `navigator.locks`, whatever the types say.
    locks: (navigator as Partial<Navigator>).locks ? browserLocks : null,
    hidden: () => document.hidden,
    onVisibility: (changed) => {
      document.addEventListener("visibilitychange", changed);
      window.addEventListener("online", changed);
      return () => {
        document.removeEventListener("visibilitychange", changed);
        window.removeEventListener("online", changed);
      };
    },
    onOffline: (lost) => {
      window.addEventListener("offline", lost);
      return () => { window.removeEventListener("offline", lost); };
    },
  };
}

function browserChannel(name: string): Channel {
  const channel = new BroadcastChannel(name);
  return {
    post: (message) => { channel.postMessage(message); },
    listen: (heard) => { channel.onmessage = ({ data }) => { heard(data); }; },
    close: () => { channel.close(); },
  };
}

const browserLocks: Locks = (name, held) => {
  const abort = new AbortController();
  let release: () => void = () => undefined;
  const until = new Promise<void>((resolve) => { release = resolve; });
  const asked = navigator.locks.request(name, { signal: abort.signal }, () => {
    held();
    return until;
  });
  asked.catch((error: unknown) => {
    if (!abort.signal.aborted) throw error;
  });
  return () => {
    abort.abort();
    release();
  };
};

export class SharedStream {
  #listeners = new Set<Listener>();
  #status: LiveStatus = NOT_YET;
  #lastId: string | null = null;
  #connection: Connection | null = null;
  #channel: Channel | null = null;
  #release: (() => void) | null = null;
  #hideTimer: unknown = null;
  #unwatch: (() => void) | null = null;
  readonly #name: string;
  readonly #around: Surroundings;

  /** `name` is the stream's user: tabs of different users don't share one. */
  constructor(name: string, around: Surroundings = browserSurroundings()) {
    this.#name = `stepwell-events:${name}`;
    this.#around = around;
  }

  get status(): LiveStatus {
    return this.#status;
  }

  /** The first listener opens it, and removing the last one closes it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#begin();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#end();
    };
  }

  // -- this tab ------------------------------------------------------------------------------------------------------

  #begin(): void {
    const { channel, onVisibility, onOffline } = this.#around;
    this.#channel = channel?.(this.#name) ?? null;
    this.#channel?.listen((message) => { this.#hear(message as Message); });
    const unwatch = [onVisibility(() => { this.#visibility(); }), onOffline(() => { this.#connection?.doubt(); })];
    this.#unwatch = () => { for (const one of unwatch) one(); };
    this.#stand();
    this.#channel?.post({ kind: "who" } satisfies Message);
  }

  #end(): void {
    this.#unwatch?.();
    this.#around.wiring.clearTimeout(this.#hideTimer);
    this.#hideTimer = null;
    this.#withdraw();
    this.#channel?.close();
    this.#channel = null;
    this.#status = NOT_YET;
  }

  #visibility(): void {
    const { wiring, hidden } = this.#around;
    wiring.clearTimeout(this.#hideTimer);
    this.#hideTimer = null;
    if (hidden()) {
      this.#hideTimer = wiring.setTimeout(() => { this.#hide(); }, HIDDEN_FOR);
      return;
    }
    this.#stand();
    this.#connection?.resume();
    this.#channel?.post({ kind: "who" } satisfies Message);
  }

  /** A hidden tab leaves the stream to another one. */
  #hide(): void {
    this.#withdraw();
    this.#tell({ ...this.#status, state: "paused" });
  }

  /** Asks for the lock, and holds the stream once it has it. */
  #stand(): void {
    if (this.#release) return;
    const { locks } = this.#around;
    if (locks && this.#channel) this.#release = locks(this.#name, () => { this.#lead(); });
    else {
      this.#release = () => undefined;
      this.#lead();
    }
  }

  #withdraw(): void {
    this.#connection?.stop();
    this.#connection = null;
    this.#release?.();
    this.#release = null;
  }

  // -- the tab that holds the stream -----------------------------------------------------------------------------------

  #lead(): void {
    const told = { frame: (frame: Frame) => { this.#frame(frame); }, state: () => { this.#state(); } };
    this.#connection = new Connection("/events", told, { lastId: this.#lastId, wiring: this.#around.wiring });
    this.#connection.start();
  }

  #frame(frame: Frame): void {
    if (frame.kind === "ping" || frame.kind === "end" || frame.id === null) return;
    // The very first hello gives the starting position: data fetched before it may be incomplete.
    const begins = frame.kind === "hello" && this.#lastId === null;
    this.#lastId = frame.id;
    const events = frame.kind === "checkpoint" ? [frame.event] : [];
    this.#channel?.post({ kind: "frames", events, id: frame.id } satisfies Message);
    if (events.length > 0) this.#each((one) => { one.events(events); });
    if (begins) this.#each((one) => { one.resync(); });
  }

  #state(): void {
    const { state } = this.#connection ?? {};
    if (!state) return;
    if (state.phase === "refused" && state.status === 422 && this.#lastId !== null) {
      // The position is no longer valid: start again without one.
      this.#lastId = null;
      this.#connection?.stop();
      this.#lead();
      return;
    }
    this.#tell(statusOf(state));
    this.#channel?.post({ kind: "status", status: this.#status, id: this.#lastId } satisfies Message);
  }

  // -- the other tabs --------------------------------------------------------------------------------------------------

  #hear(message: Message): void {
    if (message.kind === "who") {
      if (this.#connection) this.#channel?.post({ kind: "status", status: this.#status, id: this.#lastId } satisfies Message);
      return;
    }
    if (this.#connection) return; // this tab is the leader: the message is from an earlier leader
    if (message.kind === "frames") {
      this.#lastId = message.id;
      if (message.events.length > 0) this.#each((one) => { one.events(message.events); });
      return;
    }
    const missed = message.id !== null && message.id !== this.#lastId;
    this.#lastId = message.id ?? this.#lastId;
    this.#tell(message.status);
    // While this tab was frozen or not yet open, the others continued.
    if (missed) this.#each((one) => { one.resync(); });
  }

  #tell(status: LiveStatus): void {
    this.#status = status;
    this.#each((one) => { one.status(status); });
  }

  #each(tell: (listener: Listener) => void): void {
    for (const one of this.#listeners) tell(one);
  }
}
