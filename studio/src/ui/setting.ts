import { useSyncExternalStore } from "react";

export interface Setting<Value extends string> {
  get: () => Value;
  set: (value: Value) => void;
  /** The value; the component follows it. */
  use: () => Value;
}

/** The user's choice, kept in the browser under `key`; the first of `values` until they choose. */
export function setting<Value extends string>(key: string, values: readonly [Value, ...Value[]], changed: (value: Value) => void = () => undefined): Setting<Value> {
  const listeners = new Set<() => void>();
  let chosen = values.find((one) => one === stored(key)) ?? values[0];
  changed(chosen);
  const get = () => chosen;
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    get,
    set: (value) => {
      chosen = value;
      keep(key, value);
      changed(value);
      for (const listener of listeners) listener();
    },
    use: () => useSyncExternalStore(subscribe, get),
  };
}

/** The value that the browser stores under a name; null without one, or where storage is forbidden. */
export function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keeps it for the next visit. Where storage is full or forbidden, it holds until the page is left. */
export function keep(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Said above.
  }
}
