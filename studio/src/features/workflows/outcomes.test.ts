import { expect, test } from "vitest";
import type { RecentRun, WorkflowSummary } from "@/api/types";
import { matching, median, outcomesOf, outcomeWords } from "./outcomes";

const NOW = Date.parse("2026-11-25T12:00:00Z");
const run = (id: string, status: RecentRun["status"], seconds: number | null): RecentRun => ({
  workflow_id: id,
  status,
  created_at: "2026-11-25T11:00:00Z",
  finished_at: seconds === null ? null : new Date(Date.parse("2026-11-25T11:00:00Z") + seconds * 1000).toISOString(),
});
const RECENT = [run("c", "running", null), run("b", "failed", 5), run("a", "completed", 10)];

test("bars go from the oldest to the newest, and the longest is the highest", () => {
  expect(outcomesOf(RECENT, NOW)).toEqual([
    { id: "a", token: "completed", size: 1, label: "Completed, took 10 s, started 1 h ago" },
    { id: "b", token: "failed", size: 0.5, label: "Failed, took 5 s, started 1 h ago" },
    { id: "c", token: "running", size: null, label: "Running, started 1 h ago" },
  ]);
});

test("the same in words", () => {
  expect(outcomeWords(RECENT)).toBe("Last 3 runs: 1 failed, 1 running, 1 completed");
  expect(outcomeWords([])).toBe("No runs yet");
});

test("the median is of completed runs only", () => {
  expect(median([run("a", "completed", 9), run("b", "completed", 1), run("c", "completed", 3), run("d", "failed", 99)])).toBe(3000);
  expect(median([run("d", "failed", 99)])).toBeNull();
});

test("a search takes all words, anywhere", () => {
  const one = (name: string, description: string) => ({ app_name: "shop", name, title: name, description }) as WorkflowSummary;
  const all = [one("charge_card", "Takes the money"), one("pack", "Packs a parcel")];
  expect(matching(all, "money card", undefined).map(({ name }) => name)).toEqual(["charge_card"]);
  expect(matching(all, undefined, "other")).toEqual([]);
});
