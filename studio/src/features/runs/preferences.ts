import { useState } from "react";

/** How the reader wants the table; kept in the browser. */
export interface Preferences {
  hidden: readonly string[];
  comfortable: boolean;
}

const KEY = "stepwell.runs-table";
export const DEFAULTS: Preferences = { hidden: ["app", "user", "version", "attempt", "priority", "parent", "updated"], comfortable: false };

export function usePreferences(): [Preferences, (change: Partial<Preferences>) => void] {
  const [preferences, setPreferences] = useState(() => read(safely(() => localStorage.getItem(KEY))));
  const change = (some: Partial<Preferences>) => {
    const next = { ...preferences, ...some };
    setPreferences(next);
    safely(() => { localStorage.setItem(KEY, JSON.stringify(next)); });
  };
  return [preferences, change];
}

/** What was kept, as far as this version understands it. */
export function read(text: string | null | undefined): Preferences {
  if (!text) return DEFAULTS;
  try {
    const { hidden, comfortable } = JSON.parse(text) as Partial<Preferences>;
    const names = Array.isArray(hidden) ? hidden.filter((one): one is string => typeof one === "string") : DEFAULTS.hidden;
    return { hidden: names, comfortable: comfortable === true };
  } catch {
    return DEFAULTS; // written by something else
  }
}

/** Storage may be full or forbidden: then the table is as it is by default, on the next visit. */
function safely<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
