import { useSyncExternalStore } from "react";
import { zone } from "./zone";

/** One clock for the whole page: any number of relative times needs one timer, and none while the page is hidden. */
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function tick() {
  now = Date.now();
  for (const listener of listeners) listener();
}

function wake() {
  if (document.visibilityState === "visible") tick();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (listeners.size === 1) {
    now = Date.now();
    timer = setInterval(wake, 1000);
    document.addEventListener("visibilitychange", wake);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", wake);
  };
}

/** The current time in milliseconds, floored to `step`: the component renders again once per step, and when the reader's zone changes. */
export function useNow(step = 1000): number {
  zone.use();
  return useSyncExternalStore(subscribe, () => (listeners.size === 0 ? Math.floor(Date.now() / step) : Math.floor(now / step)) * step);
}
