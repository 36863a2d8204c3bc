/** Positions of the graph's places, labels and lines. Dagre computes them, except for loops at one place, which it draws badly. */
import { Graph as DagreGraph, layout as dagre } from "@dagrejs/dagre";
import type { Graph, GraphEdge, GraphNode } from "./graph";

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  /** x and y are the upper left corner. */
  width: number;
  height: number;
}

export interface EdgeLine {
  points: readonly Point[];
  label: Box;
}

export interface Layout {
  width: number;
  height: number;
  nodes: ReadonlyMap<string, Box>;
  edges: ReadonlyMap<string, EdgeLine>;
}

export interface Sizes {
  node: (node: GraphNode) => { width: number; height: number };
  label: (edge: GraphEdge) => { width: number; height: number };
}

export type Direction = "LR" | "TB";

/** Average width of a character at 12 px in the system's fonts; a little generous, so that nothing is cut off. */
const SIGN = 7;

export const SIZES: Sizes = {
  node: ({ label }) => ({ width: Math.max(72, label.length * SIGN + 32), height: 36 }),
  // With room for the count, so that a live run doesn't change the layout.
  label: ({ label, human }) => ({ width: label.length * SIGN + (human ? 28 : 12) + 24, height: 20 }),
};

/** Each loop is drawn whole, with its label on top of it. */
const LOOP = { out: 22, apart: 26, label: 21 };
const MARGIN = 16;

export function layoutOf(graph: Graph, direction: Direction = "LR", sizes: Sizes = SIZES): Layout {
  const drawn = new DagreGraph({ multigraph: true });
  drawn.setGraph({ rankdir: direction, nodesep: 32, ranksep: 40, edgesep: 16, marginx: MARGIN, marginy: MARGIN });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawn.setNode(node.id, roomFor(node, graph, sizes));
  for (const edge of graph.edges.filter(goesOn)) {
    drawn.setEdge(edge.source, edge.target, { ...sizes.label(edge), labelpos: "c" }, edge.id);
  }
  dagre(drawn);
  const nodes = new Map(graph.nodes.map((node) => [node.id, boxOf(node, drawn.node(node.id) as Point, sizes)]));
  const edges = new Map(graph.edges.filter(goesOn).map((edge) => [edge.id, lineOf(edge, drawn, nodes, sizes)]));
  for (const [id, line] of loops(graph, nodes, sizes)) edges.set(id, line);
  return { ...extent(nodes, edges), nodes, edges };
}

const goesOn = (edge: GraphEdge) => edge.source !== edge.target;

function loopsAt(id: string, graph: Graph): GraphEdge[] {
  return graph.edges.filter((edge) => edge.source === id && edge.target === id);
}

/** A place with loops gets room for them above itself. */
function roomFor(node: GraphNode, graph: Graph, sizes: Sizes): { width: number; height: number } {
  const size = sizes.node(node);
  const mine = loopsAt(node.id, graph);
  if (mine.length === 0) return size;
  const widest = Math.max(...mine.map((edge) => sizes.label(edge).width));
  return { width: Math.max(size.width, widest), height: size.height + 2 * loopHeight(mine.length) };
}

function loopHeight(count: number): number {
  return LOOP.out + (count - 1) * LOOP.apart + LOOP.label;
}

function boxOf(node: GraphNode, center: Point, sizes: Sizes): Box {
  const { width, height } = sizes.node(node);
  return { x: center.x - width / 2, y: center.y - height / 2, width, height };
}

function lineOf(edge: GraphEdge, drawn: DagreGraph, nodes: ReadonlyMap<string, Box>, sizes: Sizes): EdgeLine {
  const found = drawn.edge(edge.source, edge.target, edge.id) as { points: Point[] } & Point;
  const { width, height } = sizes.label(edge);
  const inner = found.points.slice(1, -1).map(({ x, y }) => ({ x, y }));
  const [first, last] = [inner[0] ?? found, inner.at(-1) ?? found];
  return {
    // Dagre knows the room of a place with its loops: the line goes on to the place itself.
    points: [border(nodes.get(edge.source) as Box, first), ...inner, border(nodes.get(edge.target) as Box, last)],
    label: { x: found.x - width / 2, y: found.y - height / 2, width, height },
  };
}

/** Where the line from the middle of the box to `point` leaves the box. */
function border(box: Box, point: Point): Point {
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const [dx, dy] = [point.x - middle.x, point.y - middle.y];
  const share = Math.min(dx === 0 ? Infinity : box.width / 2 / Math.abs(dx), dy === 0 ? Infinity : box.height / 2 / Math.abs(dy), 1);
  return { x: middle.x + dx * share, y: middle.y + dy * share };
}

function loops(graph: Graph, nodes: ReadonlyMap<string, Box>, sizes: Sizes): [string, EdgeLine][] {
  return graph.nodes.flatMap((node) =>
    loopsAt(node.id, graph).map((edge, at): [string, EdgeLine] => [
      edge.id,
      loopLine(nodes.get(node.id) as Box, sizes.label(edge), at),
    ]),
  );
}

/** Out of the top of the box, around, and in again; each further loop outside of the one before. */
function loopLine(box: Box, label: { width: number; height: number }, at: number): EdgeLine {
  const top = box.y - LOOP.out - at * LOOP.apart;
  const half = Math.min(box.width / 2 - 6, 18 + at * 6);
  const middle = box.x + box.width / 2;
  return {
    points: [
      { x: middle - half, y: box.y },
      { x: middle - half, y: top },
      { x: middle + half, y: top },
      { x: middle + half, y: box.y },
    ],
    label: { x: middle - label.width / 2, y: top - LOOP.label, ...label },
  };
}

function extent(nodes: ReadonlyMap<string, Box>, edges: ReadonlyMap<string, EdgeLine>): { width: number; height: number } {
  const boxes = [...nodes.values(), ...[...edges.values()].map((edge) => edge.label)];
  const points = [...edges.values()].flatMap((edge) => edge.points);
  const right = [...boxes.map((box) => box.x + box.width), ...points.map((point) => point.x), 0];
  const bottom = [...boxes.map((box) => box.y + box.height), ...points.map((point) => point.y), 0];
  return { width: Math.max(...right) + MARGIN, height: Math.max(...bottom) + MARGIN };
}

/** An SVG path through the points, rounded at the bends. */
export function pathOf(points: readonly Point[], radius = 8): string {
  const [first, ...rest] = points;
  if (!first) return "";
  const parts = [`M${spot(first)}`];
  for (const [at, point] of rest.entries()) {
    const next = rest[at + 1];
    if (!next) {
      parts.push(`L${spot(point)}`);
      continue;
    }
    const before = at === 0 ? first : (rest[at - 1] as Point);
    parts.push(`L${spot(toward(point, before, radius))}`, `Q${spot(point)} ${spot(toward(point, next, radius))}`);
  }
  return parts.join("");
}

function toward(from: Point, to: Point, most: number): Point {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy);
  const share = length === 0 ? 0 : Math.min(most, length / 2) / length;
  return { x: from.x + dx * share, y: from.y + dy * share };
}

function spot({ x, y }: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;
}
