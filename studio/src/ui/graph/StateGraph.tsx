import { Background, Controls, type Edge, type EdgeProps, EdgeLabelRenderer, Handle, type Node, type NodeProps, Panel, Position, ReactFlow, ReactFlowProvider, useReactFlow } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { TriangleAlert, User } from "lucide-react";
import { memo, useEffect, useMemo } from "react";
import { cn } from "../cn";
import "./graph.css";

export interface GraphBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface GraphPlace {
  id: string;
  label: string;
  kind: "start" | "place" | "end";
  box: GraphBox;
  here: boolean;
  failed: boolean;
  visits: number | null;
  spoken: string;
}

export interface GraphWay {
  id: string;
  source: string;
  target: string;
  label: string;
  route: "way" | "error" | "retry";
  human: boolean;
  path: string;
  labelBox: GraphBox;
  end: { x: number; y: number };
  before: { x: number; y: number };
  taken: number | null;
  failures: number;
  last: boolean;
}

export interface StateGraphProps {
  /** The name of what it shows. */
  label: string;
  nodes: readonly GraphPlace[];
  edges: readonly GraphWay[];
  width: number;
  height: number;
  /** The place that is kept in view. */
  follow?: string | null | undefined;
  onSelect?: ((place: string) => void) | undefined;
  className?: string;
}

/** A read-only drawing of places and transitions, with the positions that it is given. */
export default function StateGraph(props: StateGraphProps) {
  return (
    <ReactFlowProvider>
      <Drawn {...props} />
    </ReactFlowProvider>
  );
}

type PlaceNode = Node<{ place: GraphPlace }, "place">;
type WayEdge = Edge<{ way: GraphWay }, "way">;

function Drawn({ label, nodes, edges, width, height, follow, onSelect, className }: StateGraphProps) {
  const places = useMemo(
    () =>
      nodes.map((place) => ({
        id: place.id,
        type: "place" as const,
        position: { x: place.box.x, y: place.box.y },
        width: place.box.width,
        height: place.box.height,
        initialWidth: place.box.width,
        initialHeight: place.box.height,
        data: { place },
        ariaLabel: place.spoken,
        ariaRole: "button" as const,
      })),
    [nodes],
  );
  const ways = useMemo(
    () => edges.map((way): WayEdge => ({ id: way.id, type: "way", source: way.source, target: way.target, data: { way }, focusable: false, ariaLabel: way.label })),
    [edges],
  );
  return (
    <div role="group" aria-label={label} className={cn("state-graph min-h-72 rounded-md border", className)} style={{ height: `clamp(288px, ${String(height + 48)}px, max(360px, calc(100dvh - 24rem)))`, maxWidth: "100%" }} data-width={width}>
      <ReactFlow
        nodes={places}
        edges={ways}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        nodesFocusable
        elementsSelectable={onSelect !== undefined}
        deleteKeyCode={null}
        selectionKeyCode={null}
        multiSelectionKeyCode={null}
        zoomOnScroll={false}
        preventScrolling={false}
        panOnScroll={false}
        autoPanOnNodeFocus
        onlyRenderVisibleElements={nodes.length > 200}
        minZoom={0.2}
        maxZoom={2}
        fitView
        fitViewOptions={FIT}
        ariaLabelConfig={WORDS}
        onNodeClick={onSelect && ((_, node) => { onSelect(node.id); })}
      >
        <Background gap={24} />
        <Controls showInteractive={false} fitViewOptions={FIT} />
        <Follow place={follow} />
        <Panel position="top-right" className="pointer-events-none text-xs text-muted">
          Drag to move
        </Panel>
      </ReactFlow>
    </div>
  );
}

/** The smallest scale at which it can be read: what doesn't fit is dragged into view. */
const FIT = { padding: 0.03, minZoom: 0.72, maxZoom: 1.1 } as const;

const WORDS = {
  "node.a11yDescription.default": "Press Enter to select this place.",
  "node.a11yDescription.keyboardDisabled": "Press Enter to select this place.",
  "node.a11yDescription.ariaLiveMessage": () => "",
  "edge.a11yDescription.default": "",
  "controls.ariaLabel": "Zoom",
  "controls.zoomIn.ariaLabel": "Zoom in",
  "controls.zoomOut.ariaLabel": "Zoom out",
  "controls.fitView.ariaLabel": "Show the whole graph",
  "controls.interactive.ariaLabel": "",
  "minimap.ariaLabel": "",
  "handle.ariaLabel": "",
};

/** Scrolls the run's new place into view, unless it is visible already. */
function Follow({ place }: { place: string | null | undefined }) {
  const flow = useReactFlow();
  useEffect(() => {
    if (!place) return;
    const node = flow.getNode(place);
    const pane = document.querySelector(".state-graph .react-flow")?.getBoundingClientRect();
    if (!node || !pane || pane.width === 0) return;
    const [width, height] = [node.width ?? 0, node.height ?? 0];
    const corner = flow.flowToScreenPosition(node.position);
    const zoom = flow.getZoom();
    const inside = corner.x >= pane.left && corner.y >= pane.top && corner.x + width * zoom <= pane.right && corner.y + height * zoom <= pane.bottom;
    if (!inside) void flow.setCenter(node.position.x + width / 2, node.position.y + height / 2, { zoom });
  }, [flow, place]);
  return null;
}

const Place = memo(function Place({ data }: NodeProps<PlaceNode>) {
  const { place } = data;
  return (
    <div
      className={cn(
        "state-place flex h-full w-full items-center justify-center gap-1.5 border bg-surface px-2 text-xs",
        place.kind === "place" ? "rounded-md" : "rounded-full font-semibold",
        place.visits === 0 ? "border-dashed border-control text-muted" : "border-ink/60",
        place.here && "state-here",
        place.failed && "border-failed text-failed",
      )}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} aria-hidden className="state-handle" />
      {place.failed && <TriangleAlert size={12} aria-hidden />}
      <span className="truncate">{place.label}</span>
      {place.visits !== null && place.visits > 1 && <span className="state-count"> ×{place.visits}</span>}
      {place.here && <span className="state-flag"> here</span>}
      <Handle type="source" position={Position.Right} isConnectable={false} aria-hidden className="state-handle" />
    </div>
  );
});

const ROUTES = { way: "", error: "state-error", retry: "state-retry" } as const;

const Way = memo(function Way({ data }: EdgeProps<WayEdge>) {
  if (!data) return null;
  const { way } = data;
  const faded = way.taken === 0;
  const state = cn("state-way", ROUTES[way.route], faded && "state-faded", way.last && "state-last");
  return (
    <>
      <path d={way.path} className={state} fill="none" />
      <path d={headOf(way)} className={cn(state, "state-head")} />
      <EdgeLabelRenderer>
        <div
          aria-hidden
          className={cn("nodrag nopan absolute flex items-center justify-center text-xs whitespace-nowrap", faded ? "text-muted" : "text-ink", way.route === "error" && "text-failed")}
          style={{ transform: `translate(${String(way.labelBox.x)}px, ${String(way.labelBox.y)}px)`, width: way.labelBox.width, height: way.labelBox.height }}
        >
          <span className="inline-flex items-center gap-1 bg-surface px-1">
            {way.human && <User size={11} className="shrink-0 text-human" />}
            <span>{way.label}</span>
            {way.taken !== null && way.taken > 1 && <span className="font-semibold">×{way.taken}</span>}
            {way.failures > 0 && <span className="font-semibold text-failed">✗{way.failures}</span>}
          </span>
        </div>
      </EdgeLabelRenderer>
    </>
  );
});

/** The head of the arrow, in the direction of the line's last piece. */
function headOf({ end, before }: GraphWay): string {
  const angle = Math.atan2(end.y - before.y, end.x - before.x);
  const corner = (turn: number) => `${String(end.x - 8 * Math.cos(angle + turn))} ${String(end.y - 8 * Math.sin(angle + turn))}`;
  return `M${String(end.x)} ${String(end.y)}L${corner(0.45)}L${corner(-0.45)}Z`;
}

const NODE_TYPES = { place: Place };
const EDGE_TYPES = { way: Way };
