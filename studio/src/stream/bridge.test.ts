import { QueryClient } from "@tanstack/react-query";
import { describe, expect, it } from "vitest";
import { keys } from "@/api/keys";
import type { CheckpointEvent, Page, Run } from "@/api/types";
import { Bridge, SOON, newestOf, withRuns } from "./bridge";
import { FakeTime } from "./testing";

const run = (workflow_id: string, version: number, more: Partial<Run> = {}) =>
  ({ workflow_id, version, updated_at: "2026", status: "running", args: null, ...more }) as Run;
const event = (one: Run) => ({ workflow_id: one.workflow_id, checkpoint: { version: one.version }, run: one }) as CheckpointEvent;
const page = (...items: Run[]): Page<Run> => ({ items, next_cursor: null });

describe("rows in the cache", () => {
  const newest = newestOf([event(run("a", 1)), event(run("a", 3)), event(run("a", 2)), event(run("b", 7))]);

  it("become the newest there is", () => {
    expect(newest.get("a")?.version).toBe(3);
    const data = page(run("a", 1, { args: { x: 1 } }), run("c", 1));
    const after = withRuns(data, newest) as Page<Run>;
    expect(after.items.map((one) => one.version)).toEqual([3, 1]);
    expect(after.items[0]?.args).toEqual({ x: 1 });
    expect(after.items[1]).toBe(data.items[1]);
  });

  it("stay the same where nothing is told of them", () => {
    const alone = page(run("c", 1));
    const infinite = { pages: [alone, page(run("a", 9))], pageParams: [null, "x"] };
    expect(withRuns(alone, newest)).toBe(alone);
    expect(withRuns(infinite, newest)).toBe(infinite);
    for (const other of [undefined, null, { counts: {} }, [], "x"]) expect(withRuns(other, newest)).toBe(other);
  });

  it("change in lists of pages, too", () => {
    const infinite = { pages: [page(run("c", 1)), page(run("b", 1))], pageParams: [null, "x"] };
    const after = withRuns(infinite, newest) as typeof infinite;
    expect(after.pages[1]?.items[0]?.version).toBe(7);
    expect(after.pages[0]).toBe(infinite.pages[0]);
  });
});

describe("the bridge", () => {
  it("invalidates at most once a second, and leaves alone what is updated in place", async () => {
    const time = new FakeTime();
    const client = new QueryClient();
    const bridge = new Bridge(client, { now: () => time.now, setTimeout: time.setTimeout, clearTimeout: time.clearTimeout });
    const counts = [...keys.runs, "counts"];
    const table = [...keys.runs, "list", { limit: 50 }];
    client.setQueryData(counts, { counts: {} });
    await client.prefetchQuery({ queryKey: table, queryFn: () => page(run("a", 1)), meta: { live: "in-place" } });
    let invalidated = 0;
    client.getQueryCache().subscribe((told) => {
      if (told.type === "updated" && told.action.type === "invalidate") invalidated += 1;
    });
    for (let n = 2; n < 102; n += 1) {
      bridge.events([event(run("a", n))]);
      await time.pass(10);
      client.setQueryData(counts, { counts: {} });
    }
    expect(invalidated).toBeLessThanOrEqual(2 + SOON / 1_000);
    expect(client.getQueryState(table)?.isInvalidated).toBe(false);
    expect(client.getQueryData<Page<Run>>(table)?.items[0]?.version).toBe(101);
    bridge.stop();
  });
});
