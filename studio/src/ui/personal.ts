import { useSyncExternalStore } from "react";

/**
 * What a user leaves in the browser: drafts, last args, views of tables. Each key has its user, all of it is deleted when the
 * user signs out, in this tab or another one, and what other users left is deleted when a user signs in. So the next user of
 * the browser sees none of it. Preferences that say nothing of a user's work (theme, columns) are in setting.ts.
 *
 * Storage that is switched off or full keeps nothing: callers go on with what they hold themselves.
 */

const PREFIX = "stepwell.user ";
/** Changes with each sign-out: a tab whose own mark is another one was away while its user signed out. */
const LEFT = "stepwell.signed-out";
/** Names under which earlier versions stored such things, for whichever user. */
const EARLIER = /^stepwell\.(draft:|last |start |runs-views$)/;

let owner: string | null = null;
const listeners = new Set<() => void>();

export interface Shelf {
  /** The value that this user stored under the name; undefined without one. */
  get: (name: string) => unknown;
  /** Stores the value; undefined removes it. */
  set: (name: string, value: unknown) => void;
}

/** Kept until the user signs out. */
export const kept: Shelf = shelf(() => localStorage);
/** The same, for this tab only. */
export const keptInTab: Shelf = shelf(() => sessionStorage);

function shelf(storage: () => Storage): Shelf {
  return {
    get: (name) => {
      const key = keyOf(name);
      if (key === null) return undefined;
      return tried(() => {
        const text = storage().getItem(key);
        return text === null ? undefined : (JSON.parse(text) as unknown);
      });
    },
    set: (name, value) => {
      const key = keyOf(name);
      if (key === null) return; // signed out: what is typed now belongs to no user
      tried(() => {
        if (value === undefined) storage().removeItem(key);
        else storage().setItem(key, JSON.stringify(value));
      });
    },
  };
}

/** Names the user whose things are read and stored from now on, and deletes those of all others. */
export function belongTo(user: string): void {
  owner = user;
  const own = prefixOf(user);
  tried(() => { sweep(localStorage, own); });
  tried(() => {
    const left = localStorage.getItem(LEFT) ?? "";
    sweep(sessionStorage, (sessionStorage.getItem(LEFT) ?? "") === left ? own : null);
    sessionStorage.setItem(LEFT, left);
  });
  changed();
}

/** Deletes what all users left in this browser, here and in its other tabs. */
export function forget(): void {
  tried(() => { sweep(localStorage, null); });
  tried(() => { localStorage.setItem(LEFT, `${String(Date.now())} ${String(Math.random())}`); });
  forgetHere();
}

function forgetHere(): void {
  owner = null;
  tried(() => { sweep(sessionStorage, null); });
  changed();
}

/** Calls `left` when the user has signed out in another tab. */
export function onForgotten(left: () => void): () => void {
  const listen = (event: StorageEvent) => {
    if (event.key !== LEFT) return;
    forgetHere();
    left();
  };
  window.addEventListener("storage", listen);
  return () => { window.removeEventListener("storage", listen); };
}

/** The user to whom things belong now; null: none yet. */
export function useOwner(): string | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => owner,
  );
}

function changed() {
  for (const listener of listeners) listener();
}

// As JSON, the end of the user's id can't be mistaken: no user's prefix begins another's.
const prefixOf = (user: string) => `${PREFIX}${JSON.stringify(user)} `;
const keyOf = (name: string) => (owner === null ? null : prefixOf(owner) + name);

/** Deletes all keys of users, except those that begin with `own`. */
function sweep(storage: Storage, own: string | null): void {
  const names = Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? "");
  for (const name of names) {
    if (EARLIER.test(name) || (name.startsWith(PREFIX) && !(own !== null && name.startsWith(own)))) storage.removeItem(name);
  }
}

function tried<Result>(act: () => Result): Result | undefined {
  try {
    return act();
  } catch {
    return undefined; // storage is off or full, or another version wrote something else
  }
}
