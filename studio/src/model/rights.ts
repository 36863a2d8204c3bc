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

/** Why they may not even see what belongs to all users; `what`, such as "Schedules", says what that is. Null if they may, or who asks isn't known yet. */
export function everybodyOff(me: Who | undefined, what: string): string | null {
  if (me === undefined || me.everybody) return null;
  return `${what} concern the runs of all users, and you see only your own. Whoever gives out access here can let you see everybody's.`;
}
