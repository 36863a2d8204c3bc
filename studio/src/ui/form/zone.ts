/** How a date-time is written: in the reader's zone, in UTC, or without a zone. */
export type ZoneChoice = "local" | "utc" | "none";

export interface Written {
  /** As `<input type="datetime-local">` takes it. */
  wall: string;
  zone: ZoneChoice;
}

/** The parts of an ISO text; a text that isn't a date gives an empty wall time. */
export function written(text: string | undefined, prefer: ZoneChoice): Written {
  if (!text) return { wall: "", zone: prefer };
  const naive = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.\d+)?$/.exec(text);
  if (naive) return { wall: naive[1] ?? "", zone: "none" };
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return { wall: "", zone: prefer };
  const utc = prefer === "utc" || (prefer === "none" && text.endsWith("Z"));
  return { wall: wallOf(utc ? at : new Date(at.getTime() - at.getTimezoneOffset() * 60_000)), zone: utc ? "utc" : "local" };
}

/** The ISO text of a wall time in a zone; undefined for an empty one. */
export function isoOf({ wall, zone }: Written): string | undefined {
  if (!wall) return undefined;
  const full = wall.length === 16 ? `${wall}:00` : wall;
  if (zone === "none") return full;
  if (zone === "utc") return `${full}Z`;
  // The offset that holds on that day in the reader's zone, daylight saving included.
  const offset = -new Date(full).getTimezoneOffset();
  const size = Math.abs(offset);
  return `${full}${offset < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

const wallOf = (at: Date) => at.toISOString().slice(0, 19);
const pad = (value: number) => String(value).padStart(2, "0");

export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;
