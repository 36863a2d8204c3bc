/** The state of a field that may be omitted. Absent, null and empty are three different inputs. */
export type Presence = "absent" | "null" | "present";

export function presenceOf(value: unknown, { optional, nullable, opened }: { optional: boolean; nullable: boolean; opened: boolean }): Presence {
  if (value === null && nullable) return "null";
  return value === undefined && optional && !opened ? "absent" : "present";
}
