import { useEffect, useEffectEvent } from "react";

export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

/** Single keys of the page: never while somebody writes, holds a modifier, or has a dialog or menu open. */
export function useKeys(keys: Keys): void {
  const pressed = useEffectEvent((event: KeyboardEvent) => {
    const act = keys[event.key];
    if (!act || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isBusy(event)) return;
    event.preventDefault();
    act(event);
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => { pressed(event); };
    document.addEventListener("keydown", listen);
    return () => { document.removeEventListener("keydown", listen); };
  }, []);
}

function isBusy({ key, target }: KeyboardEvent): boolean {
  if (document.querySelector("[role=dialog],[role=menu]")) return true;
  if (!(target instanceof Element)) return false;
  const presses = key === "Enter" || key === " " ? ",a,button,summary,input" : "";
  return target.closest(`input:not([type=checkbox]),textarea,select,[contenteditable=true]${presses}`) !== null;
}
