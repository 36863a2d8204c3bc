import type { Me, NewToken, Role } from "@/api/types";
import { moment } from "@/model/time";

/** The values of the form for a new token. */
export interface Draft {
  name: string;
  user_id: string;
  role: Role;
  everybody: boolean;
  /** Empty: all apps that the creator may use. */
  apps: string[];
  /** 0: it never expires, or together with what the creator is signed in with. */
  days: number;
}

export const ROLES: Record<Role, string> = {
  viewer: "Reads.",
  operator: "Reads, starts, answers, cancels and retries.",
  admin: "An operator over all users' runs, and over all tokens.",
};

const EXPIRIES: readonly { days: number; label: string }[] = [
  { days: 30, label: "in 30 days" },
  { days: 90, label: "in 90 days" },
  { days: 365, label: "in a year" },
  { days: 0, label: "never" },
];

const DAY = 86_400_000;
const USUAL = 90;

/** The ends that this user may choose: none after that of what they are signed in with. */
export function expiriesFor(me: Pick<Me, "expires_at">, now: number): readonly { days: number; label: string }[] {
  if (me.expires_at === null) return EXPIRIES;
  const last = moment(me.expires_at);
  const earlier = EXPIRIES.filter(({ days }) => days > 0 && now + days * DAY <= last);
  return [...earlier, { days: 0, label: "when what you are signed in with does" }];
}

/** As little as is useful: a viewer's token that ends. */
export function draftFor(me: Pick<Me, "user_id" | "apps" | "expires_at">, now: number): Draft {
  const days = expiriesFor(me, now).some((one) => one.days === USUAL) ? USUAL : 0;
  return { name: "", user_id: me.user_id, role: "viewer", everybody: false, apps: me.apps ?? [], days };
}

export function faultOf(draft: Draft): string | null {
  if (draft.name.trim() === "") return "Give it a name.";
  return draft.user_id.trim() === "" ? "Name its user." : null;
}

export function requestOf(draft: Draft, now: number): NewToken {
  return {
    name: draft.name.trim(),
    user_id: draft.user_id.trim(),
    role: draft.role,
    everybody: draft.everybody || draft.role === "admin",
    ...(draft.apps.length > 0 ? { apps: draft.apps } : {}),
    ...(draft.days > 0 ? { expires_at: new Date(now + draft.days * DAY).toISOString() } : {}),
  };
}
