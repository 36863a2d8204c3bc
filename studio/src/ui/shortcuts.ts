import { useEffect, useEffectEvent, useSyncExternalStore } from "react";

/** Single keys of a page. They are listed in the help, can be turned off, and never act while the user types. */
export interface Shortcut {
  /** As in KeyboardEvent.key: "j", "/", "Enter". */
  key: string;
  /** What it does: "Next run". */
  label: string;
  run: () => void;
}

const OFF = "stepwell.shortcuts-off";
const registered = new Map<object, readonly Shortcut[]>();
const listeners = new Set<() => void>();
let listed: readonly Shortcut[] = [];

function changed() {
  listed = [...registered.values()].flat();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Registers shortcuts while the component is mounted. Their keys and labels are those of the first render. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const press = useEffectEvent((event: KeyboardEvent) => {
    const found = shortcuts.find((one) => one.key === event.key);
    if (!found || !shortcutsOn() || isTaken(event)) return;
    event.preventDefault();
    found.run();
  });
  const own = useEffectEvent(() => shortcuts);
  useEffect(() => {
    const owner = {};
    registered.set(owner, own());
    changed();
    const listen = (event: KeyboardEvent) => { press(event); };
    document.addEventListener("keydown", listen);
    return () => {
      document.removeEventListener("keydown", listen);
      registered.delete(owner);
      changed();
    };
  }, []);
}

/** All active shortcuts, for the help. */
export function useShortcutList(): readonly Shortcut[] {
  return useSyncExternalStore(subscribe, () => listed);
}

/** Whether shortcuts of single keys are on; speech software may type such keys. */
export function shortcutsOn(): boolean {
  try {
    return localStorage.getItem(OFF) === null;
  } catch {
    return true; // storage is forbidden: nothing was ever turned off
  }
}

export function turnShortcuts(on: boolean): void {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
  changed();
}

/** True if the key belongs to something else: to a field, a button, an open dialog or menu, or the browser. */
function isTaken(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true;
  if (document.querySelector("[role=dialog],[role=menu]")) return true;
  if (!(event.target instanceof Element)) return false;
  const pressed = event.key === "Enter" || event.key === " " ? ",a,button,summary,input" : "";
  return event.target.closest(`input:not([type=checkbox]),textarea,select,[contenteditable=true]${pressed}`) !== null;
}
