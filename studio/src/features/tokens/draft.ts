import type { Me, NewToken, Role } from "@/api/types";

/** What the form of a new token holds. */
export interface Draft {
  name: string;
  user_id: string;
  role: Role;
  everybody: boolean;
  /** Empty: all that the maker may use. */
  apps: string[];
  /** 0: it never expires. */
  days: number;
}

export const ROLES: Record<Role, string> = {
  viewer: "Reads.",
  operator: "Reads, starts, answers, cancels and retries.",
  admin: "An operator over everybody's runs, and over all tokens.",
};

export const EXPIRIES: readonly { days: number; label: string }[] = [
  { days: 30, label: "in 30 days" },
  { days: 90, label: "in 90 days" },
  { days: 365, label: "in a year" },
  { days: 0, label: "never" },
];

const DAY = 86_400_000;

/** As little as is useful: a viewer's token that ends. */
export function draftFor(me: Pick<Me, "user_id" | "apps">): Draft {
  return { name: "", user_id: me.user_id, role: "viewer", everybody: false, apps: me.apps ?? [], days: 90 };
}

export function faultOf(draft: Draft): string | null {
  if (draft.name.trim() === "") return "Give it a name.";
  return draft.user_id.trim() === "" ? "Say whose it is." : null;
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
