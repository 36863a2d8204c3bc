/** A workflow's graph with its layout and the course of a run: everything that is needed to draw it, as text and numbers. */
import type { Definition } from "./definition";
import { type Graph, type GraphEdge, type GraphNode, type Seen, edgeOverlayOf, graphOf, nodeOverlay, outlineOf, overlayOf } from "./graph";
import { type Box, type Direction, type Layout, type Point, layoutOf, pathOf } from "./layout";

export interface DrawnNode {
  id: string;
  label: string;
  kind: GraphNode["kind"];
  box: Box;
  here: boolean;
  failed: boolean;
  /** null: no run is shown. */
  visits: number | null;
  /** The text for screen readers. */
  spoken: string;
}

export interface DrawnEdge {
  id: string;
  source: string;
  target: string;
  label: string;
  route: GraphEdge["route"];
  human: boolean;
  path: string;
  labelBox: Box;
  /** The end of the line, and the point before it: they define the arrow's head. */
  end: Point;
  before: Point;
  /** null: no run is shown. */
  taken: number | null;
  failures: number;
  last: boolean;
}

export interface Drawing {
  width: number;
  height: number;
  nodes: readonly DrawnNode[];
  edges: readonly DrawnEdge[];
  /** The counts cover only the rows that are loaded. */
  partial: boolean;
  outline: readonly { node: DrawnNode; ways: readonly { edge: DrawnEdge; target: string }[] }[];
}

/** A graph with more places than this is first shown as a list, and drawn on demand. */
export const MOST_PLACES = 150;

const LAYOUTS = new WeakMap<object, Map<Direction, { graph: Graph; layout: Layout }>>();

/** The layout depends only on the definition, so it is computed once for each. */
function laidOut(definition: Definition, direction: Direction): { graph: Graph; layout: Layout } {
  const known = LAYOUTS.get(definition.transitions) ?? new Map<Direction, { graph: Graph; layout: Layout }>();
  LAYOUTS.set(definition.transitions, known);
  const found = known.get(direction);
  if (found) return found;
  const graph = graphOf(definition);
  const made = { graph, layout: layoutOf(graph, direction) };
  known.set(direction, made);
  return made;
}

export function drawingOf(definition: Definition, seen: Seen | null = null, direction: Direction = "LR"): Drawing {
  const { graph, layout } = laidOut(definition, direction);
  const overlay = seen && overlayOf(graph, seen);
  const nodes = graph.nodes.map((node): DrawnNode => {
    const { here, visits, failed } = nodeOverlay(overlay, node.id);
    const box = layout.nodes.get(node.id) as Box;
    return { ...node, box, here, failed, visits: seen ? visits : null, spoken: spokenOf(node, here, failed, seen ? visits : null, overlay?.partial ?? false) };
  });
  const edges = graph.edges.map((edge): DrawnEdge => {
    const { taken, failures, last } = edgeOverlayOf(overlay, edge.id);
    const line = layout.edges.get(edge.id);
    const points = line?.points ?? [];
    return {
      ...edge,
      path: pathOf(points),
      labelBox: line?.label ?? { x: 0, y: 0, width: 0, height: 0 },
      end: points.at(-1) ?? { x: 0, y: 0 },
      before: points.at(-2) ?? { x: 0, y: 0 },
      taken: seen ? taken : null,
      failures,
      last,
    };
  });
  const nodeById = new Map(nodes.map((node) => [node.id, node]));
  const edgeById = new Map(edges.map((edge) => [edge.id, edge]));
  const outline = outlineOf(graph).map(({ node, ways }) => ({
    node: nodeById.get(node.id) as DrawnNode,
    ways: ways.map(({ edge, target }) => ({ edge: edgeById.get(edge.id) as DrawnEdge, target: target.label })),
  }));
  return { width: layout.width, height: layout.height, nodes, edges, partial: overlay?.partial ?? false, outline };
}

function spokenOf(node: GraphNode, here: boolean, failed: boolean, visits: number | null, partial: boolean): string {
  // It begins with the visible text, in the same order: speech input must match it.
  const parts = [`${node.label}${visits !== null && visits > 1 ? ` ×${String(visits)}` : ""}${here ? " here" : ""}`];
  if (failed) parts.push("failed here");
  if (visits === 0) parts.push(partial ? "not in the part of the history that is loaded" : "never reached");
  else if (visits === 1) parts.push("visited once");
  return parts.join(", ");
}
