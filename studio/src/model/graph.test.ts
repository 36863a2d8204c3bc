import { describe, expect, it } from "vitest";
import { graphOf, outlineOf, overlayOf } from "./graph";
import { NOTHING, counted } from "./tally";
import { layoutOf, pathOf } from "./layout";
import { recording, recordings } from "./recordings";

const careful = recording("careful");

describe("a graph", () => {
  it("has all places, and all ways with their routes", () => {
    const graph = graphOf(careful.definition);
    expect(graph.nodes.map((node) => node.id)).toEqual(["start", "ready", "cleaning", "broken", "end"]);
    expect(graph.edges.map((edge) => edge.id)).toEqual([
      "start→prepare→ready→way",
      "ready→send→end→way",
      "ready→send→broken→error",
      "ready→send→cleaning→retry",
      "cleaning→clean→ready→way",
      "broken→write_off→end→way",
    ]);
    expect(graph.edges.filter((edge) => edge.human).map((edge) => edge.transition)).toEqual(["write_off"]);
  });

  it("says what a way waits for", () => {
    const labels = graphOf(recording("timer").definition).edges.map((edge) => edge.label);
    expect(labels).toEqual(["Begin", "Remind, after 6 h", "Paid, on invoice.paid"]);
    expect(graphOf(recording("loop").definition).edges.map((edge) => edge.label)).toContain("Turn, if again");
  });

  it("is a list, too, in the order of reaching", () => {
    expect(outlineOf(graphOf(careful.definition)).map((one) => one.node.id)).toEqual(["start", "ready", "broken", "cleaning", "end"]);
    const ways = outlineOf(graphOf(careful.definition))[1]!.ways;
    expect(ways.map((way) => way.target.id)).toEqual(["end", "broken", "cleaning"]);
  });
});

describe("an overlay", () => {
  const graph = graphOf(careful.definition);
  const at = (version?: number) => overlayOf(graph, { run: careful.run, rows: careful.history, at: version });

  it("shows where the run is, and how often it went where", () => {
    const now = at();
    expect(now.place).toBe("broken");
    expect(now.nodes.get("broken")).toEqual({ here: true, visits: 1, failed: false });
    expect(now.nodes.get("ready")?.visits).toBe(2);
    expect(now.nodes.get("end")).toEqual({ here: false, visits: 0, failed: false });
    expect(now.edges.get("ready→send→end→way")).toEqual({ taken: 0, failures: 2, last: false });
    expect(now.edges.get("ready→send→broken→error")).toEqual({ taken: 1, failures: 0, last: true });
  });

  it("goes back in time", () => {
    expect(at(2).place).toBe("ready");
    expect(at(2).nodes.get("ready")).toEqual({ here: true, visits: 1, failed: true });
    expect(at(0).place).toBe("start");
  });

  it("counts a loop", () => {
    const loop = recording("loop");
    const overlay = overlayOf(graphOf(loop.definition), { run: loop.run, rows: loop.history });
    expect(overlay.edges.get("turning→turn→turning→way")?.taken).toBe(260);
    expect(overlay.place).toBe("end");
  });
});

describe.each(recordings().map((one) => [one.name, one.definition] as const))("the layout of %s", (_, definition) => {
  const graph = graphOf(definition);
  const layout = layoutOf(graph);

  it("gives each place and each way its own room", () => {
    expect([...layout.nodes.keys()].sort()).toEqual(graph.nodes.map((node) => node.id).sort());
    expect([...layout.edges.keys()].sort()).toEqual(graph.edges.map((edge) => edge.id).sort());
    const boxes = [...layout.nodes.values()];
    for (const [n, a] of boxes.entries()) {
      for (const b of boxes.slice(n + 1)) {
        const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
        expect(apart).toBe(true);
      }
    }
  });

  it("keeps everything on the canvas", () => {
    for (const { points, label } of layout.edges.values()) {
      for (const spot of [...points, label]) {
        expect(spot.x).toBeGreaterThanOrEqual(0);
        expect(spot.y).toBeGreaterThanOrEqual(0);
        expect(spot.x).toBeLessThanOrEqual(layout.width);
        expect(spot.y).toBeLessThanOrEqual(layout.height);
      }
      expect(pathOf(points)).toMatch(/^M/);
      expect(pathOf(points)).not.toMatch(/NaN/);
    }
  });

  it("goes from left to right", () => {
    const start = layout.nodes.get("start")!;
    for (const [id, box] of layout.nodes) if (id !== "start") expect(box.x).toBeGreaterThan(start.x);
  });
});

describe("the counts of a long run", () => {
  const loop = recording("loop");
  const graph = graphOf(loop.definition);
  const whole = overlayOf(graph, { run: loop.run, rows: loop.history });

  it.each([1, 3, loop.history.length - 1])("are those of all of it, with what was counted of the rows before %i", (first) => {
    const before = counted(NOTHING, loop.history.slice(0, first));
    const part = overlayOf(graph, { run: loop.run, rows: loop.history.slice(first), before });
    expect(part).toEqual(whole);
    expect(overlayOf(graph, { run: loop.run, rows: loop.history.slice(1), before })).toEqual(whole);
  });

  it("are said to be partial where the rows before aren't counted", () => {
    const part = overlayOf(graph, { run: loop.run, rows: loop.history.slice(4) });
    expect(part.partial).toBe(true);
    expect(overlayOf(graph, { run: loop.run, rows: loop.history.slice(4), before: counted(NOTHING, loop.history.slice(0, 3)) }).partial).toBe(true);
    expect(whole.partial).toBe(false);
  });

  it("don't take back what was counted beyond the row that is looked at", () => {
    const before = counted(NOTHING, loop.history.slice(0, 6));
    expect(overlayOf(graph, { run: loop.run, rows: loop.history.slice(2), at: 3, before }).partial).toBe(true);
  });
});
