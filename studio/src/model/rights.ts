/** What a person may do besides to their own runs, as a sentence for the button that is off. */
import type { Me } from "../api/types";

type Who = Pick<Me, "role" | "everybody">;

/** Why they may not act on what belongs to all users: schedules, deliveries. Null if they may; who asks may not be known yet. */
export function operateOff(me: Who | undefined): string | null {
  if (me === undefined) return "Still asking who you are.";
  if (me.role === "viewer") return "You may look, but not act: it needs the role operator.";
  return me.everybody ? null : "It concerns everybody's runs, and you see only your own.";
}

/** Why they may not act on runs at all. */
export function actOff(me: Who | undefined): string | null {
  if (me === undefined) return "Still asking who you are.";
  return me.role === "viewer" ? "You may look, but not act: it needs the role operator." : null;
}
