import { beforeEach, describe, expect, it, vi } from "vitest";
import type { CheckpointEvent } from "@/api/types";
import { FIRST_DELAY, LONGEST_DELAY, backoff } from "./backoff";
import { Batch } from "./batch";
import { Connection } from "./connection";
import { type Frame, frameOf, frameReader } from "./frames";
import { BEGINNING, HIDDEN_FOR, type Happening, SILENT_AFTER, type State, next } from "./phases";
import { statusOf, statusText } from "./status";
import { FakeServer, FakeTime, checkpointText, settled, wiringOf } from "./testing";
import { Throttle } from "./throttle";

vi.stubGlobal("document", { querySelector: () => null });

const event = (version: number, workflow_id = "w") =>
  ({ workflow_id, checkpoint: { version }, run: { workflow_id, version, updated_at: "" }, documents: [] }) as unknown as CheckpointEvent;

describe("frames", () => {
  it.each([1, 2, 7, 1000])("are read from pieces of %d characters", (size) => {
    const text = `: ping\n\nevent: hello\nid: 7.1\ndata: {}\n\n${checkpointText(event(3), "9")}event: end\ndata: {}\n\nevent: news\ndata: x\n\n`;
    const frames: Frame[] = [];
    const read = frameReader((frame) => frames.push(frame));
    for (let at = 0; at < text.length; at += size) read(text.slice(at, at + size));
    expect(frames).toEqual([
      { kind: "ping" },
      { kind: "hello", id: "7.1" },
      { kind: "checkpoint", id: "9", event: event(3) },
      { kind: "end" },
      { kind: "unknown", id: "9", name: "news", data: "x" },
    ].map((frame) => (frame.kind === "unknown" ? { ...frame, id: null } : frame)));
  });

  it("that aren't what they should be are kept as unknown", () => {
    for (const data of ["{", "null", "{}", '{"workflow_id":"w"}']) expect(frameOf("checkpoint", "1", data).kind).toBe("unknown");
  });
});

describe("backing off", () => {
  it("doubles up to half a minute, with jitter downwards", () => {
    expect(backoff(1, () => 1)).toBe(FIRST_DELAY);
    expect(backoff(1, () => 0)).toBe(FIRST_DELAY / 2);
    expect(backoff(2, () => 1)).toBe(2 * FIRST_DELAY);
    expect(backoff(1000, () => 1)).toBe(LONGEST_DELAY);
  });
});

describe("phases", () => {
  const after = (...happened: Happening[]) =>
    happened.reduce<[State, unknown]>(([state], what) => next(state, what, () => 1), [BEGINNING, null]);
  const opened: Happening[] = [{ kind: "start" }, { kind: "opened", now: 1 }];

  it("go on from the last id", () => {
    const [state, effect] = after(...opened, { kind: "heard", id: "5", now: 2 }, { kind: "closed" }, { kind: "waited" });
    expect(state).toMatchObject({ phase: "connecting", lastId: "5" });
    expect(effect).toEqual({ kind: "open" });
  });

  it("wait longer with each failure, and start small again after a word", () => {
    const [, second] = after({ kind: "start" }, { kind: "failed", status: 503 }, { kind: "waited" }, { kind: "failed", status: null });
    expect(second).toEqual({ kind: "wait", delay: 2 * FIRST_DELAY });
    const [, small] = after(
      { kind: "start" }, { kind: "failed", status: 503 }, { kind: "waited" }, { kind: "opened", now: 1 },
      { kind: "heard", id: null, now: 2 }, { kind: "closed" },
    );
    expect(small).toEqual({ kind: "wait", delay: FIRST_DELAY });
  });

  it("obey Retry-After", () => {
    const [, effect] = after({ kind: "start" }, { kind: "failed", status: 429, retryAfter: 60_000 });
    expect(effect).toEqual({ kind: "wait", delay: 60_000 });
  });

  it.each([401, 403, 404, 422])("end with a refusal: %d", (status) => {
    const [state, effect] = after({ kind: "start" }, { kind: "failed", status });
    expect([state.phase, effect]).toEqual(["refused", { kind: "close" }]);
    expect(next(state, { kind: "shown" }, Math.random)[1]).toEqual({ kind: "none" });
    expect(next(state, { kind: "start" }, Math.random)[1]).toEqual({ kind: "open" });
  });

  it.each([408, 429, 500, 502, 503])("don't end with %d", (status) => {
    expect(after({ kind: "start" }, { kind: "failed", status })[0].phase).toBe("waiting");
  });

  it("end with the end, and pause where nobody looks", () => {
    const [ended] = after(...opened, { kind: "end" });
    expect(next(ended, { kind: "closed" }, Math.random)).toEqual([ended, { kind: "none" }]);
    const [paused] = after(...opened, { kind: "heard", id: "3", now: 1 }, { kind: "hidden" });
    expect(paused).toMatchObject({ phase: "paused", lastId: "3" });
    expect(next(paused, { kind: "closed" }, Math.random)[0]).toBe(paused);
    expect(next(paused, { kind: "shown" }, Math.random)[1]).toEqual({ kind: "open" });
  });
});

describe("a connection", () => {
  let time: FakeTime;
  let server: FakeServer;
  let frames: Frame[];
  let states: State[];
  let connection: Connection;

  beforeEach(() => {
    time = new FakeTime();
    server = new FakeServer();
    frames = [];
    states = [];
    const told = { frame: (frame: Frame) => frames.push(frame), state: (state: State) => states.push(state) };
    connection = new Connection("/runs/w/events", told, { query: () => ({ after: 4 }), wiring: wiringOf(time, server) });
  });

  it("begins where it is told, and goes on after what it heard", async () => {
    connection.start();
    await time.pass(0);
    expect(server.last).toMatchObject({ url: "/api/v1/runs/w/events?after=4", lastId: null });
    server.last.send(checkpointText(event(5), 5));
    await settled();
    server.last.cut();
    await time.pass(1_000);
    expect(server.last).toMatchObject({ url: "/api/v1/runs/w/events", lastId: "5" });
    expect(connection.state.phase).toBe("live");
  });

  it("is dead when not even pings come", async () => {
    connection.start();
    await time.pass(SILENT_AFTER - 1);
    server.last.send(": ping\n\n");
    await time.pass(SILENT_AFTER - 1);
    expect(server.served).toHaveLength(1);
    await time.pass(1_000);
    expect(server.served).toHaveLength(2);
    expect(server.served[0]?.aborted()).toBe(true);
  });

  it("stops at a refusal", async () => {
    server.refusals.push(404);
    connection.start();
    await time.pass(600_000);
    expect(server.served).toHaveLength(0);
    expect(connection.state).toMatchObject({ phase: "refused", status: 404 });
  });

  it("comes back when the server does", async () => {
    server.refusals.push(null, 503, 502);
    connection.start();
    await time.pass(10_000);
    expect(connection.state).toMatchObject({ phase: "live" });
  });

  it("ends with the run", async () => {
    connection.start();
    await time.pass(0);
    server.last.send("event: end\ndata: {}\n\n");
    await time.pass(600_000);
    expect(server.served).toHaveLength(1);
    expect(connection.state.phase).toBe("ended");
  });

  it("hears nothing after it was stopped", async () => {
    connection.start();
    await time.pass(0);
    connection.stop();
    server.last.send(checkpointText(event(5), 5));
    await time.pass(600_000);
    expect(frames).toEqual([]);
    expect(server.open).toEqual([]);
  });

  it("pauses and resumes from the last id", async () => {
    connection.start();
    await time.pass(0);
    server.last.send(checkpointText(event(5), 5));
    await settled();
    connection.pause();
    await time.pass(600_000);
    expect(server.open).toEqual([]);
    connection.resume();
    await time.pass(0);
    expect(server.last.lastId).toBe("5");
  });

  it.each([1, 2, 3, 5, 8])("sees each event once and in order when it is cut after each %d", async (each) => {
    const all = Array.from({ length: 20 }, (_, n) => event(n + 5));
    server.onOpen = (served) => {
      const from = served.lastId === null ? 0 : Number(served.lastId) - 4;
      const part = all.slice(from, from + each);
      for (const one of part) served.send(checkpointText(one, one.checkpoint.version));
      void settled().then(() => { served.cut(); });
    };
    connection.start();
    for (let n = 0; n < 60; n += 1) await time.pass(1_000);
    const versions = frames.flatMap((frame) => (frame.kind === "checkpoint" ? [frame.event.checkpoint.version] : []));
    expect(versions).toEqual(all.map((one) => one.checkpoint.version));
  });

  it("tells how it stands", async () => {
    connection.start();
    await time.pass(0);
    server.last.cut();
    await settled();
    expect(states.map((state) => statusOf(state).state)).toEqual(["connecting", "live", "reconnecting"]);
    expect(statusText({ state: "reconnecting", heardAt: 0, status: null }, 12_400)).toBe("Reconnecting (last data 12 s ago)");
    expect(statusText({ state: "refused", heardAt: null, status: 401 }, 0)).toBe("Signed out");
  });
});

it("a hidden page keeps its stream for a minute", () => {
  expect(HIDDEN_FOR).toBe(60_000);
});

describe("a batch", () => {
  it("hands on once per frame", () => {
    const frames: (() => void)[] = [];
    const cancel = vi.fn();
    const handed: number[][] = [];
    const batch = new Batch<number>((items) => handed.push(items), {
      request: (then) => {
        frames.push(then);
        return cancel;
      },
    });
    for (let n = 0; n < 50; n += 1) batch.add(n);
    expect(frames).toHaveLength(1);
    frames[0]?.();
    expect(handed).toEqual([Array.from({ length: 50 }, (_, n) => n)]);
    batch.add(1);
    batch.stop();
    batch.flush();
    expect(handed).toHaveLength(1);
  });
});

describe("a throttle", () => {
  it("acts at once, then at most once per interval, and never loses the last wish", async () => {
    const time = new FakeTime();
    const at: number[] = [];
    const start = time.now;
    const throttle = new Throttle(() => at.push(time.now - start), 1_000, {
      now: () => time.now,
      setTimeout: time.setTimeout,
      clearTimeout: time.clearTimeout,
    });
    for (let n = 0; n < 25; n += 1) {
      throttle.wish();
      await time.pass(100);
    }
    await time.pass(5_000);
    expect(at).toEqual([0, 1_000, 2_000, 3_000]);
    throttle.wish();
    throttle.stop();
    expect(at).toHaveLength(5);
  });
});
