/** A workflow as a graph, places and transitions, and what of it a run has seen. */
import type { Checkpoint, Run } from "@/api/types";
import { type DefinedTransition, type Definition, END, START, words } from "./definition";
import { duration } from "./time";

export type Route = "way" | "error" | "retry";

export interface GraphNode {
  id: string;
  label: string;
  kind: "start" | "place" | "end";
}

export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  transition: string;
  /** `error`: where it goes when it fails for good; `retry`: where a retry is made from. */
  route: Route;
  label: string;
  /** A person fires it. */
  human: boolean;
}

export interface Graph {
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
}

/** The definition's graph: bounded by the code, however long a run is. */
export function graphOf(definition: Definition): Graph {
  const edges = unique(definition.transitions.flatMap(edgesOf));
  const named = definition.places.map((place) => place.name);
  const used = edges.flatMap((edge) => [edge.source, edge.target]);
  const nodes = [...new Set([...named, ...used])].sort(startFirst);
  return { nodes: nodes.map((id) => ({ id, label: words(id), kind: kindOf(id) })), edges };
}

function edgesOf(t: DefinedTransition): GraphEdge[] {
  const edge = (target: string, route: Route, label: string): GraphEdge => {
    const id = [t.source, t.name, target, route].join("→");
    return { id, source: t.source, target, transition: t.name, route, label, human: route === "way" && t.kind === "signal" };
  };
  return [
    edge(t.target, "way", wayLabel(t)),
    ...(t.error_place === null ? [] : [edge(t.error_place, "error", `${t.name} failed`)]),
    ...(t.retry_target === null ? [] : [edge(t.retry_target, "retry", `${t.name} retries`)]),
  ];
}

function wayLabel(t: DefinedTransition): string {
  if (t.after !== null) return `${t.name}, after ${duration(t.after * 1000)}`;
  if (t.event !== null) return `${t.name}, on ${t.event.name}`;
  return t.guard === null ? t.name : `${t.name}, if ${t.guard}`;
}

function unique(edges: readonly GraphEdge[]): GraphEdge[] {
  return [...new Map(edges.map((edge) => [edge.id, edge])).values()];
}

function kindOf(id: string): GraphNode["kind"] {
  return id === START ? "start" : id === END ? "end" : "place";
}

function startFirst(a: string, b: string): number {
  const rank = (id: string) => (id === START ? 0 : id === END ? 2 : 1);
  return rank(a) - rank(b);
}

// -- what a run has seen -------------------------------------------------------------------------------------------

export interface NodeOverlay {
  /** The run is here (at the chosen moment). */
  here: boolean;
  visits: number;
  /** An attempt failed here and was the last thing that happened. */
  failed: boolean;
}

export interface EdgeOverlay {
  taken: number;
  /** Attempts of it that failed. */
  failures: number;
  /** It brought the run where it is. */
  last: boolean;
}

export interface Overlay {
  nodes: ReadonlyMap<string, NodeOverlay>;
  edges: ReadonlyMap<string, EdgeOverlay>;
  place: string;
  /** Only the end of the history is known: what it doesn't show may have happened before. */
  partial: boolean;
}

const NO_NODE: NodeOverlay = { here: false, visits: 0, failed: false };
const NO_EDGE: EdgeOverlay = { taken: 0, failures: 0, last: false };

/** What had happened when the row `at` was written; by default, until now. */
export function overlayOf(graph: Graph, run: Pick<Run, "place" | "status">, rows: readonly Checkpoint[], at?: number): Overlay {
  const seen = at === undefined ? rows : rows.filter((row) => row.version <= at);
  const last = seen.at(-1) ?? null;
  const now = at === undefined || last?.version === rows.at(-1)?.version;
  const place = now ? run.place : placeAfter(last, run.place);
  const failed = last?.status === "failed" && last.target === null ? (last.source ?? place) : null;
  const visited = countBy(seen.map((row) => (row.version === 0 ? START : row.target)));
  const edges = new Map(graph.edges.map((edge) => [edge.id, edgeOverlay(edge, seen, last)]));
  const nodes = new Map(
    graph.nodes.map(({ id }) => [
      id,
      { here: id === place, visits: Math.max(visited.get(id) ?? 0, Number(id === place)), failed: id === failed },
    ]),
  );
  return { nodes, edges, place, partial: (rows[0]?.version ?? 0) > 0 };
}

export function nodeOverlay(overlay: Overlay | null, id: string): NodeOverlay {
  return overlay?.nodes.get(id) ?? NO_NODE;
}

export function edgeOverlayOf(overlay: Overlay | null, id: string): EdgeOverlay {
  return overlay?.edges.get(id) ?? NO_EDGE;
}

function placeAfter(row: Checkpoint | null, otherwise: string): string {
  if (row === null) return otherwise;
  return row.target ?? row.source ?? START;
}

function edgeOverlay(edge: GraphEdge, rows: readonly Checkpoint[], last: Checkpoint | null): EdgeOverlay {
  const mine = rows.filter((row) => row.transition === edge.transition && row.source === edge.source);
  // A detour is made without a row of its own.
  if (edge.route === "retry") return NO_EDGE;
  const through = mine.filter((row) => row.target === edge.target && (row.status === "failed") === (edge.route === "error"));
  const failures = edge.route === "way" ? mine.filter((row) => row.status === "failed").length : 0;
  return { taken: through.length, failures, last: last !== null && through.includes(last) };
}

function countBy(names: readonly (string | null)[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

// -- the same in words ---------------------------------------------------------------------------------------------

export interface OutlineItem {
  node: GraphNode;
  ways: readonly { edge: GraphEdge; target: GraphNode }[];
}

/** The graph as a list, in the order in which places are reached: what screen readers get, and keys walk along. */
export function outlineOf(graph: Graph): OutlineItem[] {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const order: string[] = [];
  const reached = new Set<string>();
  const walk = (id: string) => {
    if (reached.has(id)) return;
    reached.add(id);
    order.push(id);
    for (const edge of graph.edges) if (edge.source === id && edge.target !== END) walk(edge.target);
  };
  for (const { id } of graph.nodes) if (id !== END) walk(id);
  if (byId.has(END)) order.push(END);
  return order.map((id) => ({
    node: byId.get(id) as GraphNode,
    ways: graph.edges
      .filter((edge) => edge.source === id)
      .map((edge) => ({ edge, target: byId.get(edge.target) as GraphNode })),
  }));
}
