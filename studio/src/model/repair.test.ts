import { describe, expect, it } from "vitest";
import type { RunStatus, Step } from "@/api/types";
import { cancelWords, lostSteps } from "./cancelling";
import { changesOf, labelsOf } from "./naming";
import { refusalOf, repairLock, repairOff, stillRepairable } from "./repair";
import { STATUS_NAMES } from "./status";

const operator = { role: "operator" } as const;
const failed = (signal_id: string | null) => [{ status: "committed" as const, signal_id: null }, { status: "failed" as const, signal_id }];

describe("repairs", () => {
  it("are possible where a retry is", () => {
    expect(STATUS_NAMES.filter((status) => stillRepairable({ status })).sort()).toEqual(["failed", "retrying"]);
    const locks = STATUS_NAMES.filter((status) => repairLock({ status }) !== null);
    expect(locks).toHaveLength(STATUS_NAMES.length - 2);
    expect(repairLock({ status: "completed" })).toMatch(/completed.*kept here/);
  });

  it("say why a part can't be edited", () => {
    const run = { status: "failed" as RunStatus };
    const definition = { state: { type: "object" } };
    expect(repairOff("data", { run, rows: failed("s1"), definition }, operator)).toBeNull();
    expect(repairOff("data", { run, rows: failed(null), definition }, operator)).toMatch(/took no answer/);
    expect(repairOff("state", { run, rows: failed(null), definition }, operator)).toBeNull();
    expect(repairOff("state", { run, rows: failed(null), definition: { state: { type: "null" } } }, operator)).toMatch(/no state/);
    expect(repairOff("state", { run, rows: failed(null), definition: null }, operator)).toMatch(/isn't known here/);
    expect(repairOff("data", { run, rows: failed("s1"), definition }, { role: "viewer" })).toMatch(/operator/);
  });

  it("name the refusal, unless the fields do", () => {
    expect(refusalOf(null)).toBe("");
    expect(refusalOf({ title: "Invalid state", detail: "It doesn't fit.", errors: [{}] })).toBe("");
    expect(refusalOf({ title: "Run finished", detail: "Run r is completed." })).toBe("Run finished: Run r is completed.");
    expect(refusalOf(new Error("no answer"))).toBe("no answer");
  });
});

describe("cancelling", () => {
  it("says what happens, by what the run does then", () => {
    expect(cancelWords({ canceling: false, clears: null, open: 0 })).toMatch(/isn't undone/);
    expect(cancelWords({ canceling: false, clears: null, open: 2 })).toMatch(/the 2 runs/);
    expect(cancelWords({ canceling: false, clears: "leaving", open: 2 })).toMatch(/clears up from “leaving” on/);
    expect(cancelWords({ canceling: true, clears: "leaving", open: 0 })).toMatch(/already/);
  });

  it("names the steps that nobody will undo", () => {
    const step = (name: string, change: Partial<Step>) => ({ name, undo: "free", undone_at: null, status: "completed" as const, ...change });
    const steps = [step("room", {}), step("room", {}), step("car", { undone_at: "2026-01-01T00:00:00Z" }), step("mail", { undo: null }), step("flight", { status: "failed" })];
    expect(lostSteps(steps)).toEqual(["room"]);
  });
});

describe("subject and labels", () => {
  it("are sent where they were changed", () => {
    const before = { subject: "Order A1", labels: ["vip", "north"] };
    expect(changesOf(before, { subject: " Order A1 ", labels: ["vip", "north"] })).toBeNull();
    expect(changesOf(before, { subject: "", labels: ["vip", "north"] })).toEqual({ subject: "" });
    expect(changesOf(before, { subject: "Order A1", labels: ["vip"] })).toEqual({ labels: ["vip"] });
    expect(changesOf({ subject: null, labels: [] }, { subject: "", labels: [] })).toBeNull();
  });

  it("are read one from each line", () => {
    expect(labelsOf(" vip \n\nteam: north\nvip")).toEqual(["vip", "team: north"]);
  });
});
