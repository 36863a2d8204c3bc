/** A workflow as a graph of places and transitions, and the course of a run through it. */
import type { Checkpoint, Run } from "@/api/types";
import { type DefinedTransition, type Definition, END, START, titleOf, words } from "./definition";
import { NOTHING, type Tally, counted, failureKey, wayKey } from "./tally";
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

/** The definition's graph: its size depends on the code, not on the length of a run. */
export function graphOf(definition: Definition): Graph {
  const edges = unique(definition.transitions.flatMap((one) => edgesOf(one, titleOf(definition, one.name))));
  const named = definition.places.map((place) => place.name);
  const used = edges.flatMap((edge) => [edge.source, edge.target]);
  const nodes = [...new Set([...named, ...used])].sort(startFirst);
  return { nodes: nodes.map((id) => ({ id, label: words(id), kind: kindOf(id) })), edges };
}

function edgesOf(t: DefinedTransition, title: string): GraphEdge[] {
  const edge = (target: string, route: Route, label: string): GraphEdge => {
    const id = [t.source, t.name, target, route].join("→");
    return { id, source: t.source, target, transition: t.name, route, label, human: route === "way" && t.kind === "signal" };
  };
  return [
    edge(t.target, "way", wayLabel(t, title)),
    ...(t.error_place === null ? [] : [edge(t.error_place, "error", `${title} failed`)]),
    ...(t.retry_target === null ? [] : [edge(t.retry_target, "retry", `${title} retries`)]),
  ];
}

function wayLabel(t: DefinedTransition, title: string): string {
  if (t.after_method) return `${title}, at the moment of ${t.after_method}`;
  if (t.after !== null) return `${title}, after ${duration(t.after * 1000)}`;
  if (t.event !== null) return `${title}, on ${t.event.name}`;
  if (t.guard === null) return title;
  return t.guard.includes("<") ? `${title}, on a condition` : `${title}, if ${t.guard}`;
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

// -- the course of a run -------------------------------------------------------------------------------------------

export interface NodeOverlay {
  /** The run is here (at the chosen moment). */
  here: boolean;
  visits: number;
  /** The last thing that happened is an attempt that failed here. */
  failed: boolean;
}

export interface EdgeOverlay {
  taken: number;
  /** Attempts of it that failed. */
  failures: number;
  /** It led the run to its current place. */
  last: boolean;
}

export interface Overlay {
  nodes: ReadonlyMap<string, NodeOverlay>;
  edges: ReadonlyMap<string, EdgeOverlay>;
  place: string;
  /** Only the end of the history is known: other things may have happened before. */
  partial: boolean;
}

const NO_NODE: NodeOverlay = { here: false, visits: 0, failed: false };
const NO_EDGE: EdgeOverlay = { taken: 0, failures: 0, last: false };

/** The part of a run that is shown; `at`: up to this row of the history. */
export interface Seen {
  run: Pick<Run, "place" | "status">;
  rows: readonly Checkpoint[];
  at?: number | undefined;
  /** The counts of the rows before those. */
  before?: Tally | undefined;
  /** More happened after the last row. */
  later?: boolean | undefined;
}

/** What had happened when the row `at` was written; by default, until the last one. */
export function overlayOf(graph: Graph, { run, rows, at, before = NOTHING, later = false }: Seen): Overlay {
  const seen = at === undefined ? rows : rows.filter((row) => row.version <= at);
  const last = seen.at(-1) ?? null;
  const now = !later && (at === undefined || last?.version === rows.at(-1)?.version);
  const place = now ? run.place : placeAfter(last, run.place);
  const failed = last?.status === "failed" && last.target === null ? (last.source ?? place) : null;
  const begins = rows[0]?.version ?? 0;
  // A tally that extends beyond the selected row can't be used: nothing can be subtracted from it.
  const fits = before.until >= begins && (last?.version ?? 0) >= before.until - 1;
  const tally = counted(fits ? before : { ...NOTHING, until: begins }, seen);
  const edges = new Map(graph.edges.map((edge) => [edge.id, edgeOverlay(edge, tally, last)]));
  const nodes = new Map(
    graph.nodes.map(({ id }) => [
      id,
      { here: id === place, visits: Math.max(tally.places.get(id) ?? 0, Number(id === place)), failed: id === failed },
    ]),
  );
  return { nodes, edges, place, partial: begins > 0 && !fits };
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

function edgeOverlay(edge: GraphEdge, { ways }: Tally, last: Checkpoint | null): EdgeOverlay {
  // A detour is made without a row of its own.
  if (edge.route === "retry") return NO_EDGE;
  const way = wayKey(edge.transition, edge.source, edge.target, edge.route === "error");
  const failures = edge.route === "way" ? (ways.get(failureKey(edge.transition, edge.source)) ?? 0) : 0;
  return { taken: ways.get(way) ?? 0, failures, last: last !== null && wayKey(last.transition, last.source, last.target, last.status === "failed") === way };
}

// -- the same as text ---------------------------------------------------------------------------------------------

export interface OutlineItem {
  node: GraphNode;
  ways: readonly { edge: GraphEdge; target: GraphNode }[];
}

/** The graph as a list, in the order in which places are reached, for screen readers and the keyboard. */
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
