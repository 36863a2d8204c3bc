import { describe, expect, it } from "vitest";
import type { Run } from "@/api/types";
import { matches, newcomers } from "./matching";

const RUN: Run = {
  workflow_id: "b",
  workflow_name: "order",
  workflow_version: 1,
  app_name: "shop",
  workspace_id: "w",
  user_id: "ada",
  status: "failed",
  place: "charged",
  version: 3,
  args: null,
  state: null,
  result: null,
  error: "The bank says no",
  attempt: 1,
  labels: ["team:north"],
  priority: 0,
  idempotency_key: null,
  parent_id: null,
  forked_from: null,
  subject: "Lamp for Ada",
  group_id: null,
  group_index: null,
  waiting_for: [],
  canceling: false,
  due_at: null,
  ready_at: null,
  created_at: "2026-11-25T12:00:00Z",
  updated_at: "2026-11-25T12:00:00Z",
  finished_at: null,
};

describe("whether a run belongs into the list", () => {
  it.each([
    [{}, true],
    [{ status: ["failed", "waiting"] as const }, true],
    [{ status: ["waiting"] as const }, false],
    [{ workflow: "order", app_name: "shop" }, true],
    [{ workflow: "refund" }, false],
    [{ label: "team:north" }, true],
    [{ label: "team:south" }, false],
    [{ place: "start" }, false],
    [{ parent_id: "a" }, false],
    [{ q: "BANK says" }, true],
    [{ q: "lamp FOR" }, true],
    [{ q: "stock" }, false],
    [{ created_after: "2026-11-25T12:00:00Z" }, true],
    [{ created_before: "2026-11-25T12:00:00Z" }, false],
  ])("by %j: %s", (filter, belongs) => {
    expect(matches(RUN, { ...filter, status: "status" in filter ? [...filter.status] : undefined })).toBe(belongs);
  });
});

describe("newcomers", () => {
  const rows = ["d", "c"].map((workflow_id) => ({ ...RUN, workflow_id }));
  const heard = ["e", "d", "b"].map((workflow_id) => ({ ...RUN, workflow_id }));

  it("are those that aren't there, and wouldn't be further down", () => {
    expect(newcomers(heard, rows, {}, true)).toEqual(["e"]);
    expect(newcomers(heard, rows, {}, false)).toEqual(["e", "b"]);
    expect(newcomers(heard, [], {}, false)).toEqual(["e", "d", "b"]);
    expect(newcomers(heard, rows, { workflow: "other" }, false)).toEqual([]);
  });
});
