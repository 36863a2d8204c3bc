/** Runs a function at most once per interval; the last call is never lost. */
export interface Timers {
  now: () => number;
  setTimeout: (then: () => void, delay: number) => unknown;
  clearTimeout: (timer: unknown) => void;
}

export class Throttle {
  #last = -Infinity;
  #timer: unknown = null;
  readonly #act: () => void;
  readonly #interval: number;
  readonly #timers: Timers;

  constructor(act: () => void, interval: number, timers: Timers) {
    this.#act = act;
    this.#interval = interval;
    this.#timers = timers;
  }

  wish(): void {
    if (this.#timer !== null) return;
    const rest = this.#last + this.#interval - this.#timers.now();
    if (rest <= 0) this.#now();
    else this.#timer = this.#timers.setTimeout(() => { this.#now(); }, rest);
  }

  stop(): void {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = null;
  }

  #now(): void {
    this.#timer = null;
    this.#last = this.#timers.now();
    this.#act();
  }
}
