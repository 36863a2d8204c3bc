import { describe, expect, it } from "vitest";
import { actOff, everybodyOff, operateOff } from "./rights";

describe("what a person may do", () => {
  it("lets operators who see everybody's runs act on what belongs to all", () => {
    expect(operateOff({ role: "operator", everybody: true })).toBeNull();
    expect(operateOff({ role: "admin", everybody: true })).toBeNull();
  });

  it("says what is missing", () => {
    expect(operateOff({ role: "viewer", everybody: true })).toMatch(/role operator/);
    expect(operateOff({ role: "operator", everybody: false })).toMatch(/only your own/);
    expect(operateOff(undefined)).toMatch(/being loaded/);
  });

  it("lets operators act on their own runs", () => {
    expect(actOff({ role: "operator", everybody: false })).toBeNull();
    expect(actOff({ role: "viewer", everybody: false })).toMatch(/role operator/);
  });

  it("says why what belongs to all is closed to who sees their own runs", () => {
    expect(everybodyOff({ role: "admin", everybody: true }, "Schedules")).toBeNull();
    expect(everybodyOff({ role: "operator", everybody: false }, "Schedules")).toMatch(/^Schedules concern the runs of all users/);
    expect(everybodyOff(undefined, "Schedules")).toBeNull();
  });
});
