import type { Token } from "@/api/types";
import { moment } from "@/model/time";

export type TokenState = "Active" | "Expired" | "Revoked";

export function stateOf(token: Pick<Token, "revoked_at" | "expires_at">, now: number): TokenState {
  if (token.revoked_at !== null) return "Revoked";
  return token.expires_at !== null && moment(token.expires_at) <= now ? "Expired" : "Active";
}
