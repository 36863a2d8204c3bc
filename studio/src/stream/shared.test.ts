import { describe, expect, it, vi } from "vitest";
import type { CheckpointEvent } from "@/api/types";
import { HIDDEN_FOR } from "./phases";
import { SharedStream } from "./shared";
import { FakeBrowser, Tab, checkpointText, settled } from "./testing";

vi.stubGlobal("document", { querySelector: () => null });

const event = (version: number) =>
  ({ workflow_id: "w", checkpoint: { version }, run: { workflow_id: "w", version, updated_at: "" } }) as unknown as CheckpointEvent;
const HELLO = "event: hello\nid: h0\ndata: {}\n\n";

function open(browser: FakeBrowser, tab = browser.tab()) {
  const stream = new SharedStream("alice", tab.around);
  const heard: number[] = [];
  const resyncs = vi.fn();
  const states: string[] = [];
  const leave = stream.listen({
    events: (events) => heard.push(...events.map((one) => one.checkpoint.version)),
    status: (status) => states.push(status.state),
    resync: resyncs,
  });
  return { tab, stream, heard, resyncs, states, leave };
}

async function send(browser: FakeBrowser, version: number) {
  browser.server.last.send(checkpointText(event(version), `p${String(version)}`));
  await settled();
}

describe("the shared stream", () => {
  it("is one for all tabs", async () => {
    const browser = new FakeBrowser();
    const tabs = [open(browser), open(browser), open(browser)];
    await browser.time.pass(0);
    browser.server.last.send(HELLO);
    await send(browser, 1);
    expect(browser.server.served).toHaveLength(1);
    for (const one of tabs) expect(one.heard).toEqual([1]);
    for (const one of tabs) expect(one.stream.status.state).toBe("live");
  });

  it("falls to another tab when its own goes, and loses nothing", async () => {
    const browser = new FakeBrowser();
    const [first, second] = [open(browser), open(browser)];
    await browser.time.pass(0);
    browser.server.last.send(HELLO);
    await send(browser, 1);
    first.leave();
    await browser.time.pass(0);
    expect(browser.server.last.lastId).toBe("p1");
    await send(browser, 2);
    expect(second.heard).toEqual([1, 2]);
    second.leave();
    expect(browser.server.open).toEqual([]);
  });

  it("is left to another tab by one that is hidden, and pauses where all are", async () => {
    const browser = new FakeBrowser();
    const [first, second] = [open(browser), open(browser)];
    await browser.time.pass(0);
    await send(browser, 1);
    first.tab.show(false);
    await browser.time.pass(HIDDEN_FOR);
    expect(browser.server.open).toHaveLength(1);
    await send(browser, 2);
    expect(first.heard).toEqual([1, 2]);
    second.tab.show(false);
    await browser.time.pass(HIDDEN_FOR);
    expect(browser.server.open).toEqual([]);
    expect(second.states.at(-1)).toBe("paused");
    first.tab.show(true);
    await browser.time.pass(0);
    expect(browser.server.last.lastId).toBe("p2");
    expect(first.stream.status.state).toBe("live");
  });

  it("says so when the network goes, and goes on where it was if the server is there all the same", async () => {
    const browser = new FakeBrowser();
    const one = open(browser);
    await browser.time.pass(0);
    browser.server.last.send(HELLO);
    await send(browser, 1);
    one.tab.goOffline();
    expect(one.stream.status.state).toBe("reconnecting");
    await browser.time.pass(5_000);
    expect(one.stream.status.state).toBe("live");
    expect(browser.server.last.lastId).toBe("p1");
    await send(browser, 2);
    expect(one.heard).toEqual([1, 2]);
    one.leave();
    one.tab.goOffline();
  });

  it("of a tab that is hidden for a moment goes on", async () => {
    const browser = new FakeBrowser();
    const only = open(browser);
    await browser.time.pass(0);
    only.tab.show(false);
    await browser.time.pass(HIDDEN_FOR - 1);
    only.tab.show(true);
    await browser.time.pass(HIDDEN_FOR);
    expect(browser.server.served.filter((one) => one.url.includes("/events"))[0]?.aborted()).toBe(true); // silent by then
    expect(only.states).not.toContain("paused");
  });

  it("makes a tab that missed something fetch again", async () => {
    const browser = new FakeBrowser();
    open(browser);
    await browser.time.pass(0);
    await send(browser, 1);
    const late = open(browser);
    expect(late.resyncs).toHaveBeenCalledTimes(1);
    late.tab.show(true);
    expect(late.resyncs).toHaveBeenCalledTimes(1);
  });

  it("makes pages fetch again that did so before it began", async () => {
    const browser = new FakeBrowser();
    const only = open(browser);
    await browser.time.pass(0);
    browser.server.last.send(HELLO);
    await settled();
    expect(only.resyncs).toHaveBeenCalledTimes(1);
    browser.server.last.send(HELLO);
    await settled();
    expect(only.resyncs).toHaveBeenCalledTimes(1);
  });

  it("begins anew where its position is no longer one", async () => {
    const browser = new FakeBrowser();
    const only = open(browser);
    await browser.time.pass(0);
    await send(browser, 1);
    browser.server.refusals.push(422);
    browser.server.last.cut();
    await browser.time.pass(5_000);
    expect(browser.server.last.lastId).toBeNull();
    browser.server.last.send(HELLO);
    await settled();
    expect(only.resyncs).toHaveBeenCalledTimes(1);
  });

  it("is each tab's own without locks", async () => {
    const browser = new FakeBrowser();
    open(browser, new Tab(browser, { locks: false }));
    open(browser, new Tab(browser, { locks: false }));
    await browser.time.pass(0);
    expect(browser.server.served).toHaveLength(2);
  });

  it("tells the tabs that it is refused", async () => {
    const browser = new FakeBrowser();
    browser.server.refusals.push(401);
    const [first, second] = [open(browser), open(browser)];
    await browser.time.pass(0);
    for (const one of [first, second]) expect(one.stream.status).toMatchObject({ state: "refused", status: 401 });
  });
});
