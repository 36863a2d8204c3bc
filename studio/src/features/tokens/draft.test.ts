import { describe, expect, it } from "vitest";
import { draftFor, expiriesFor, faultOf, requestOf } from "./draft";
import { consequenceOf, makerOf, stateOf } from "./state";

const NOW = Date.parse("2026-11-25T12:00:00Z");

describe("a new token", () => {
  const draft = draftFor({ user_id: "ada", apps: null, expires_at: null }, NOW);

  it("may as little as is useful, and ends", () => {
    expect(requestOf({ ...draft, name: " ci " }, NOW)).toEqual({ name: "ci", user_id: "ada", role: "viewer", everybody: false, expires_at: "2027-02-23T12:00:00.000Z" });
  });

  it("that never expires has no date, and an admin's sees everybody's runs", () => {
    expect(requestOf({ ...draft, name: "ci", role: "admin", days: 0, apps: ["shop"] }, NOW)).toEqual({ name: "ci", user_id: "ada", role: "admin", everybody: true, apps: ["shop"] });
  });

  it("ends no later than what its creator is signed in with", () => {
    const inDays = (days: number) => ({ user_id: "ada", apps: null, expires_at: new Date(NOW + days * 86_400_000).toISOString() });
    expect(expiriesFor(inDays(40), NOW).map((one) => one.days)).toEqual([30, 0]);
    expect(expiriesFor(inDays(400), NOW).map((one) => one.days)).toEqual([30, 90, 365, 0]);
    expect([draftFor(inDays(40), NOW).days, draftFor(inDays(400), NOW).days]).toEqual([0, 90]);
    expect(requestOf({ ...draftFor(inDays(40), NOW), name: "ci" }, NOW)).not.toHaveProperty("expires_at");
  });

  it("needs a name and a user", () => {
    expect(faultOf(draft)).toMatch(/name/);
    expect(faultOf({ ...draft, name: "ci", user_id: " " })).toMatch(/user/);
    expect(faultOf({ ...draft, name: "ci" })).toBeNull();
  });
});

describe("revoking a token", () => {
  it("says how many go with it", () => {
    expect(consequenceOf(0)).toBe("Requests with it are refused from now on. This can't be undone.");
    expect(consequenceOf(1)).toMatch(/the token that was created with it/);
    expect(consequenceOf(7)).toMatch(/the 7 tokens that were created with it/);
  });

  it("is decided by knowing its maker", () => {
    expect(makerOf({ created_by: "ada", created_via: null })).toBe("ada");
    expect(makerOf({ created_by: "ada", created_via: "token" })).toBe("ada, with a token");
  });
});

describe("the state of a token", () => {
  it("is active until it expires or is revoked", () => {
    expect(stateOf({ revoked_at: null, expires_at: null }, NOW)).toBe("Active");
    expect(stateOf({ revoked_at: null, expires_at: "2026-11-25T12:00:01Z" }, NOW)).toBe("Active");
    expect(stateOf({ revoked_at: null, expires_at: "2026-11-25T12:00:00Z" }, NOW)).toBe("Expired");
    expect(stateOf({ revoked_at: "2026-11-01T00:00:00Z", expires_at: "2026-11-02T00:00:00Z" }, NOW)).toBe("Revoked");
  });
});
