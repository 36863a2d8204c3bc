import { describe, expect, it } from "vitest";
import type { CheckpointEvent, StoredDocument } from "@/api/types";
import { type RunView, begin, feedOf, fill, fold, foldAll, inOrder, refresh, snapshot, trim } from "./fold";
import { type Recording, recording, recordings } from "./recordings";

const all = recordings();

/** What both ways must agree on: an event carries neither states nor args. */
function comparable(view: RunView) {
  return {
    ...view,
    run: { ...view.run, args: null, state: null, result: null },
    rows: view.rows.map((row) => ({ ...row, state: null, trace: null })),
  };
}

function replay(events: readonly CheckpointEvent[]): RunView {
  return foldAll(begin(events[0]!), events.slice(1));
}

/** What a page opened after `version` would fetch, but for the run. */
function fetched({ history, documents }: Recording, version: number) {
  return {
    history: history.filter((row) => row.version <= version),
    documents: documents
      .filter((one) => one.version <= version)
      .map((one) => {
        const next = documents.find((other) => other.key !== null && other.key === one.key && other.version > one.version);
        return { ...one, replaced_at: next && next.version <= version ? next.created_at : null };
      }),
  };
}

describe.each(all.map((one) => [one.name, one] as const))("the run %s", (_, it_) => {
  it("is the same by snapshot and by replay, whenever somebody looked", () => {
    for (const { run, events } of it_.moments) {
      const { history, documents } = fetched(it_, run.version);
      expect(comparable(replay(it_.events.slice(0, events)))).toEqual(comparable(snapshot(run, history, documents)));
    }
  });

  it("has at every prefix the history and the documents of then", () => {
    let view = begin(it_.events[0]!);
    for (const [at, event] of it_.events.entries()) {
      view = fold(view, event);
      const { history, documents } = fetched(it_, at);
      expect(view.version).toBe(at);
      expect(view.rows.map((row) => row.version)).toEqual(history.map((row) => row.version));
      expect(view.documents).toEqual(documents);
      expect(view.missing).toBeNull();
    }
  });

  it("goes on from a snapshot taken anywhere", () => {
    const end = comparable(replay(it_.events));
    for (const at of places(it_.events.length)) {
      const { history, documents } = fetched(it_, at);
      const opened = snapshot(it_.events[at]!.run, history, documents);
      expect(comparable(foldAll(opened, it_.events.slice(at + 1)))).toEqual(end);
    }
  });

  it("sees each event once, however often the stream begins again", () => {
    const end = replay(it_.events);
    for (const at of places(it_.events.length)) {
      const twice = [...it_.events.slice(1), ...it_.events.slice(at), ...it_.events];
      expect(foldAll(begin(it_.events[0]!), twice)).toEqual(end);
    }
  });

  it("names a hole and closes it with what was fetched for it", () => {
    if (it_.events.length < 3) return;
    for (const at of places(it_.events.length - 2)) {
      const dropped = replay(it_.events.filter((_event, n) => n !== at + 1));
      expect(dropped.missing).toEqual({ after: at, before: at + 2 });
      const { history, documents } = fetched(it_, it_.events.length - 1);
      const closed = fill(dropped, history.slice(at + 1, at + 2), documents.filter((one) => one.version === at + 1));
      expect(closed.missing).toBeNull();
      expect(comparable(closed)).toEqual(comparable(replay(it_.events)));
    }
  });
});

function places(length: number): number[] {
  return length < 30 ? [...Array(length).keys()] : [0, 1, Math.floor(length / 2), length - 2, length - 1];
}

describe("a view", () => {
  const review = recording("review");

  it("ignores events of other runs", () => {
    const view = begin(review.events[0]!);
    expect(fold(view, recording("happy").events[1]!)).toBe(view);
  });

  it("doesn't go back when an older reading of the run comes late", () => {
    const view = snapshot(review.run, review.history, review.documents);
    expect(refresh(view, review.moments[0]!.run)).toBe(view);
  });

  it("takes a claim, which has no event of its own", () => {
    const before = { ...review.moments[0]!.run, updated_at: "2026-01-05T00:00:00Z" };
    const view = snapshot(before, review.history.slice(0, 2), []);
    const claimed = { ...before, status: "running" as const, updated_at: "2026-01-05T00:00:01Z" };
    expect(refresh(view, claimed).run.status).toBe("running");
  });

  it("keeps the args that only the snapshot carried, and drops a state that is no longer true", () => {
    const first = { ...review.run, ...review.moments[0]!.run };
    const view = snapshot(first, review.history.slice(0, 2), []);
    const next = foldAll(view, review.events.slice(2));
    expect(next.run.args).toEqual(review.run.args);
    expect(next.run.state).toBeNull();
  });

  it("knows nothing but a window, and takes older rows in front of it", () => {
    const loop = recording("loop");
    const view = snapshot(loop.run, loop.history.slice(-200), []);
    expect(view.rows[0]!.version).toBe(loop.run.version - 199);
    const all = fill(view, loop.history.slice(0, 63));
    expect(all.rows).toEqual(loop.history);
    expect(all.missing).toBeNull();
  });
});

describe("a trimmed view", () => {
  it("is one that was opened later", () => {
    const loop = recording("loop");
    const whole = snapshot(loop.run, loop.history, []);
    expect(trim(whole, 100)).toEqual(snapshot(loop.run, loop.history.slice(-100), []));
    expect(trim(whole, 1_000)).toBe(whole);
  });
});

describe("documents", () => {
  const { documents } = recording("documents");

  it("are in the order of the API, however they came", () => {
    expect(inOrder([...documents].reverse())).toEqual(documents);
    expect(inOrder([...documents, ...documents])).toEqual(documents);
  });

  it("are one item for each key, with the older versions behind it", () => {
    const items = feedOf(documents);
    const progress = items.filter((item) => item.current.key === "progress");
    expect(progress).toHaveLength(1);
    expect(progress[0]!.current.content).toEqual({ percent: 100 });
    expect(progress[0]!.older.map((one) => one.content)).toEqual([{ percent: 0 }, { percent: 50 }]);
  });

  it("without a key stand alone", () => {
    const alone = (id: string): StoredDocument => ({ ...documents[0]!, id, key: null });
    expect(feedOf([alone("1"), alone("2")])).toHaveLength(2);
  });
});
