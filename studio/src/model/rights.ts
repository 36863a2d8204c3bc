/** Rights beyond a person's own runs, as sentences for disabled buttons. */
import type { Me } from "../api/types";

type Who = Pick<Me, "role" | "everybody">;

/** Why they may not act on what belongs to all users: schedules, deliveries. Null if they may, or while the user isn't known yet. */
export function operateOff(me: Who | undefined): string | null {
  if (me === undefined) return "Your rights are still being loaded.";
  if (me.role === "viewer") return "You may view runs, but acting on them needs the role operator.";
  return me.everybody ? null : "It concerns all users' runs, and you see only your own.";
}

/** Why they may not act on runs at all. */
export function actOff(me: Who | undefined): string | null {
  if (me === undefined) return "Your rights are still being loaded.";
  return me.role === "viewer" ? "You may view runs, but acting on them needs the role operator." : null;
}

/** Why they may not even see what belongs to all users; `what`, such as "Schedules", says what that is. Null if they may, or while the user isn't known yet. */
export function everybodyOff(me: Who | undefined, what: string): string | null {
  if (me === undefined || me.everybody) return null;
  return `${what} concern the runs of all users, and you see only your own. An administrator can give you access to all users' runs.`;
}
