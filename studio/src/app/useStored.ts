import { useState } from "react";

/** State that outlives the page, where the browser allows it. */
export function useStored<Value>(key: string, otherwise: Value): [Value, (value: Value) => void] {
  const [value, setValue] = useState<Value>(() => read(key) ?? otherwise);
  const set = (next: Value) => {
    setValue(next);
    try {
      localStorage.setItem(key, JSON.stringify(next));
    } catch {
      // Storage is off: it holds until the page is left.
    }
  };
  return [value, set];
}

function read<Value>(key: string): Value | null {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") as Value | null;
  } catch {
    return null; // storage is off, or another version wrote something else
  }
}
