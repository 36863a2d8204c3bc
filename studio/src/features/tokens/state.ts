import type { Token } from "@/api/types";
import { moment } from "@/model/time";

export type TokenState = "Active" | "Expired" | "Revoked";

/** What revoking a token does, with which so many valid ones were created. */
export function consequenceOf(descendants: number): string {
  const others = { 0: "", 1: ", and so are those with the token that was created with it" }[descendants] ?? `, and so are those with the ${String(descendants)} tokens that were created with it`;
  return `Requests with it are refused from now on${others}. This can't be undone.`;
}

/** Who created a token, and how they were signed in. */
export function makerOf(token: Pick<Token, "created_by" | "created_via">): string {
  const how = { local: ", on the server", application: "", token: ", with a token", oidc: ", by single sign-on" };
  return token.created_by + (token.created_via === null ? "" : how[token.created_via]);
}

export function stateOf(token: Pick<Token, "revoked_at" | "expires_at">, now: number): TokenState {
  if (token.revoked_at !== null) return "Revoked";
  return token.expires_at !== null && moment(token.expires_at) <= now ? "Expired" : "Active";
}
