/** Collects items and passes them on once per frame: fifty events a second don't cause fifty renders. */

export interface Frames {
  request: (then: () => void) => () => void;
}

/** Hidden pages get no frames: a timer is used instead. */
export const BROWSER_FRAMES: Frames = {
  request: (then) => {
    const done = { is: false };
    const once = () => {
      if (done.is) return;
      done.is = true;
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      then();
    };
    const frame = requestAnimationFrame(once);
    const timer = setTimeout(once, 250);
    return () => {
      done.is = true;
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  },
};

/** The shortest interval: what arrives in between is shown in one step. */
export function atMostEvery(interval: number, frames: Frames = BROWSER_FRAMES): Frames {
  let last = -Infinity;
  return {
    request: (then) => {
      let cancel: () => void = () => undefined;
      const ask = () => {
        cancel = frames.request(() => {
          last = performance.now();
          then();
        });
      };
      const rest = last + interval - performance.now();
      if (rest <= 0) ask();
      else {
        const timer = setTimeout(ask, rest);
        cancel = () => { clearTimeout(timer); };
      }
      return () => { cancel(); };
    },
  };
}

export class Batch<Item> {
  #items: Item[] = [];
  #cancel: (() => void) | null = null;
  readonly #hand: (items: Item[]) => void;
  readonly #frames: Frames;

  constructor(hand: (items: Item[]) => void, frames: Frames = BROWSER_FRAMES) {
    this.#hand = hand;
    this.#frames = frames;
  }

  add(...items: Item[]): void {
    this.#items.push(...items);
    this.#cancel ??= this.#frames.request(() => {
      this.flush();
    });
  }

  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    const items = this.#items;
    this.#items = [];
    if (items.length > 0) this.#hand(items);
  }

  /** Drops what was collected. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#items = [];
  }
}
