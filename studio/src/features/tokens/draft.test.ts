import { describe, expect, it } from "vitest";
import { draftFor, faultOf, requestOf } from "./draft";
import { stateOf } from "./state";

const NOW = Date.parse("2026-11-25T12:00:00Z");

describe("a new token", () => {
  const draft = draftFor({ user_id: "ada", apps: null });

  it("may as little as is useful, and ends", () => {
    expect(requestOf({ ...draft, name: " ci " }, NOW)).toEqual({ name: "ci", user_id: "ada", role: "viewer", everybody: false, expires_at: "2027-02-23T12:00:00.000Z" });
  });

  it("that never expires has no date, and an admin's sees everybody's runs", () => {
    expect(requestOf({ ...draft, name: "ci", role: "admin", days: 0, apps: ["shop"] }, NOW)).toEqual({ name: "ci", user_id: "ada", role: "admin", everybody: true, apps: ["shop"] });
  });

  it("needs a name and a user", () => {
    expect(faultOf(draft)).toMatch(/name/);
    expect(faultOf({ ...draft, name: "ci", user_id: " " })).toMatch(/whose/);
    expect(faultOf({ ...draft, name: "ci" })).toBeNull();
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
