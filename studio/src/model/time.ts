/** Moments and durations in words. Every function takes `now`; nothing here reads the clock. */

export type Millis = number;

/** The moment of an ISO text as milliseconds; null stays null. Throws RangeError if it isn't a date. */
export function moment(text: string): Millis;
export function moment(text: string | null | undefined): Millis | null;
export function moment(text: string | null | undefined): Millis | null {
  if (text === null || text === undefined) return null;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new RangeError(`${JSON.stringify(text)} isn't a date.`);
  return at;
}

const UNITS: readonly [string, Millis][] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
];

/** "3 h 4 min", "2.4 s", "180 ms": at most two units, and no zero units. */
export function duration(millis: Millis): string {
  if (millis < 0) return `-${duration(-millis)}`;
  if (millis < 1) return "0 ms";
  if (millis < 999.5) return `${Math.round(millis)} ms`;
  if (millis < 9_950) return `${trimmed(millis / 1000)} s`;
  if (millis < 59_500) return `${Math.round(millis / 1000)} s`;
  const [first, second] = twoUnits(millis);
  return second ? `${first} ${second}` : first;
}

function twoUnits(millis: Millis): [string, string | null] {
  const at = UNITS.findIndex(([, size]) => Math.round(millis / 1000) * 1000 >= size);
  const [name, size] = UNITS[at] ?? ["s", 1000];
  const below = UNITS[at + 1];
  if (!below) return [`${Math.round(millis / size)} ${name}`, null];
  // Rounded to the smaller unit first, so that 59 min 59.9 s is 1 h and not "0 h 60 min".
  const small = Math.round(millis / below[1]);
  const per = size / below[1];
  if (small / per >= (at > 0 ? (UNITS[at - 1] as [string, Millis])[1] / size : Infinity)) {
    const bigger = UNITS[at - 1] as [string, Millis];
    return [`${Math.round(millis / bigger[1])} ${bigger[0]}`, null];
  }
  const rest = small % per;
  return [`${Math.floor(small / per)} ${name}`, rest === 0 ? null : `${rest} ${below[0]}`];
}

function trimmed(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}

/** One unit only: "3 h", where there is little room. */
export function short(millis: Millis): string {
  if (millis < 0) return `-${short(-millis)}`;
  if (millis < 1000) return `${Math.round(millis)} ms`;
  for (const [name, size] of UNITS) if (millis >= size) return `${Math.floor(millis / size)} ${name}`;
  return "0 s";
}

/** "3 h ago", "in 2 min", "now". Clocks differ slightly: anything within 2 s is "now". */
export function relative(at: Millis, now: Millis): string {
  const passed = now - at;
  if (Math.abs(passed) < 2_000) return "now";
  return passed > 0 ? `${short(passed)} ago` : `in ${short(-passed)}`;
}

export interface Zone {
  /** An IANA name; undefined: the reader's. */
  timeZone?: string;
  hour12?: boolean;
}

/** "25 Nov 2026, 21:20:29 UTC": always with the zone. */
export function absolute(at: Millis, zone: Zone = {}): string {
  return format(at, zone, {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
}

/** "21:20" on the same day, else "27 Nov, 21:20". */
export function clock(at: Millis, now: Millis, zone: Zone = {}): string {
  const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
  const today = format(at, zone, { ...day, year: "numeric" }) === format(now, zone, { ...day, year: "numeric" });
  return format(at, zone, today ? time : { ...day, ...time });
}

let readers: string | undefined;

/** Sets the default zone in which moments are shown; undefined: the browser's. */
export function readIn(timeZone: string | undefined): void {
  readers = timeZone;
}

const FORMATS = new Map<string, Intl.DateTimeFormat>();

function format(at: Millis, zone: Zone, options: Intl.DateTimeFormatOptions): string {
  const wanted = { hour12: false, ...(readers !== undefined && { timeZone: readers }), ...zone, ...options };
  const key = JSON.stringify(wanted);
  let found = FORMATS.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", wanted);
    FORMATS.set(key, found);
  }
  return found.format(at);
}

/** The time until the relative text of `at` changes, for timers that update it. */
export function nextChange(at: Millis, now: Millis): Millis {
  const away = Math.abs(now - at);
  if (away < 60_000) return 1_000;
  if (away < 3_600_000) return 15_000;
  return 60_000;
}
