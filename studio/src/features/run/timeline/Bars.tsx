import "./timeline.css";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useEffect, useEffectEvent, useLayoutEffect, useMemo, useRef, useState } from "react";
import { type Axis, axisOf, marksOf, momentAt, xOf } from "@/model/axis";
import { absolute, duration } from "@/model/time";
import type { Segment, Timeline, TimelineRow } from "@/model/timeline";
import { type Range, panned, sideOf, within, wholeOf, zoomed } from "@/model/zoom";
import { cn } from "@/ui/cn";
import { useShortcuts } from "@/ui/shortcuts";
import { statusColor } from "@/ui/StatusShape";
import { useRunPage } from "../data";
import { Overview } from "./Overview";
import { KINDS, KIND_NAMES, segmentText, spentText, title } from "./words";
import { ZoomButtons } from "./ZoomButtons";

const ROW = 28;
/** Live rows are rendered often: above this number only those in view are. */
const VIRTUAL_FROM = 60;

export interface BarsProps {
  timeline: Timeline;
  /** Nothing is folded. */
  real: boolean;
  /** The visible range; null: all of it. */
  range: Range | null;
  onRange: (range: Range | null) => void;
  /** Unfolds a row that stands for many. */
  onUnfold: (key: string) => void;
}

/** One step of zooming, by key, wheel or button. */
const CLOSER = 0.7;
const PAN = 0.25;

/** The rows of a timeline as bars on a folded axis. Up and down go from row to row, Enter selects its checkpoint. */
export function Bars({ timeline, real, range: wanted, onRange, onUnfold }: BarsProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const track = useRef<HTMLDivElement>(null);
  const width = useWidth(track);
  const overview = useMemo(() => axisOf(timeline, width, real), [timeline, width, real]);
  const range = within(wanted, wholeOf(overview));
  const [from, to] = [range?.from, range?.to];
  const axis = useMemo(
    () => (from === undefined || to === undefined ? overview : axisOf({ rows: timeline.rows, from, to }, width, real)),
    [overview, timeline, width, real, from, to],
  );
  const { rows } = timeline;
  const virtual = rows.length > VIRTUAL_FROM;
  const virtualizer = useVirtualizer({
    count: rows.length,
    enabled: virtual,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
  });
  const shown = virtual ? virtualizer.getVirtualItems().map((one) => one.index) : rows.map((_, at) => at);
  const whole = range ?? wholeOf(overview);
  const zoom = (factor: number, at = momentAt(axis, width / 2)) => { onRange(zoomed(overview, whole, factor, at)); };
  const pan = (share: number) => { onRange(panned(overview, whole, share)); };
  useShortcuts([
    { key: "+", label: "Zoom in on the timeline", run: () => { zoom(CLOSER); } },
    { key: "-", label: "Zoom out of the timeline", run: () => { zoom(1 / CLOSER); } },
    { key: "0", label: "Show the whole timeline", run: () => { onRange(null); } },
  ]);
  useWheel(scroller, (x, by) => { zoom(by < 0 ? CLOSER : 1 / CLOSER, momentAt(axis, x - (track.current?.getBoundingClientRect().left ?? 0))); });
  const onKeyDown = (event: KeyboardEvent) => {
    const share = { ArrowLeft: -PAN, ArrowRight: PAN }[event.key];
    if (share !== undefined && range) {
      event.preventDefault();
      pan(share);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = Number((event.target as HTMLElement).closest("[data-at]")?.getAttribute("data-at") ?? Number.NaN);
    if (step === undefined || Number.isNaN(at)) return;
    event.preventDefault();
    const next = Math.min(rows.length - 1, Math.max(0, at + step));
    if (virtual) virtualizer.scrollToIndex(next);
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-at="${String(next)}"] button`)?.focus());
  };
  return (
    <>
      <div ref={scroller} role="region" aria-label="Timeline" tabIndex={0} data-inset-focus onKeyDown={onKeyDown} className="relative max-h-[max(20rem,calc(100dvh-18rem))] overflow-y-auto rounded-md border">
        <div className="sticky top-0 z-10 flex border-b bg-surface">
          <div className="flex w-32 shrink-0 flex-col justify-between border-r sm:w-64">
            <ZoomButtons zoomed={range !== null} onZoom={(closer) => { zoom(closer ? CLOSER : 1 / CLOSER); }} onPan={(later) => { pan(later ? PAN : -PAN); }} onAll={() => { onRange(null); }} />
            <span role="status" className="hidden truncate px-2 text-xs leading-6 text-muted sm:block">
              {range ? `${duration(range.to - range.from)} of ${duration(timeline.to - timeline.from)}, from ${time(range.from)}` : `from ${time(timeline.from)}`}
            </span>
          </div>
          <div ref={track} className="min-w-0 grow">
            <Overview timeline={timeline} axis={overview} range={range} onRange={onRange} />
            <div className="relative h-6 overflow-hidden border-t">
              <Marks axis={axis} began={timeline.from} />
            </div>
          </div>
        </div>
        <div role="list" className="relative" style={{ height: rows.length * ROW }}>
          {shown.map((at) => {
            const row = rows[at] as TimelineRow;
            return <Row key={row.key} row={row} at={at} count={rows.length} axis={axis} onUnfold={onUnfold} />;
          })}
        </div>
      </div>
      <Legend timeline={timeline} />
    </>
  );
}

function Row({ row, at, count, axis, onUnfold }: { row: TimelineRow; at: number; count: number; axis: Axis; onUnfold: (key: string) => void }) {
  const { selected, select, search, setSearch } = useRunPage();
  const isStep = row.kind === "step";
  const current = isStep ? row.key === search.step : row.version !== null && row.version === selected?.version && row.kind === "visit";
  const { version, child } = row;
  const view = wholeOf(axis);
  const side = sideOf(row, view);
  const words = (
    <>
      <span className="truncate">{row.label}</span>
      {row.attempts > 1 && (row.kind === "visit" || isStep) && <span className="shrink-0 text-xs text-backoff">×{row.attempts}</span>}
      <span className="hidden min-w-0 truncate text-xs text-muted sm:inline">{row.note}</span>
    </>
  );
  const className = cn("flex h-full w-full min-w-0 items-center gap-1.5 px-2 text-left", row.depth === 1 && "pl-5");
  return (
    <div
      role="listitem"
      aria-setsize={count}
      aria-posinset={at + 1}
      data-at={at}
      className={cn("absolute inset-x-0 flex border-b border-line/60 hover:bg-hover", current && "bg-hover")}
      style={{ top: at * ROW, height: ROW }}
    >
      <div className="w-32 shrink-0 border-r sm:w-64">
        {child ? (
          <Link to="/runs/$workflowId" params={{ workflowId: child.run.workflow_id }} data-inset-focus className={cn(className, "prose-link")} title={title(row)}>
            {words}
          </Link>
        ) : (
          <button type="button" data-inset-focus aria-pressed={row.kind === "visits" ? undefined : current} aria-expanded={row.kind === "visits" ? false : undefined} disabled={version === null && !isStep} className={className} title={title(row)} onClick={() => { if (row.kind === "visits") onUnfold(row.key); else if (isStep) setSearch({ step: current ? undefined : row.key, at: version ?? undefined }); else select(version ?? undefined); }}>
            {row.kind === "visits" && <ChevronRight size={14} aria-hidden className="shrink-0 text-muted" />}
            {words}
            <span className="sr-only">: {spentText(row)}</span>
          </button>
        )}
      </div>
      <div aria-hidden className="relative min-w-0 grow overflow-hidden">
        {axis.pieces.filter((piece) => piece.folded).map((piece) => (
          <div key={piece.x} className="absolute inset-y-0 bg-subtle" style={{ left: piece.x, width: piece.width }} />
        ))}
        {side !== "within" && <span data-outside className={cn("absolute inset-y-0 px-1 leading-7 text-muted", side === "after" && "right-0")}>{side === "before" ? "‹" : "›"}</span>}
        {row.segments.filter((segment) => sideOf(segment, view) === "within").map((segment, n) => (
          <Bar key={n} segment={segment} axis={axis} onClick={segment.version === null ? undefined : () => { select(segment.version ?? undefined); }} />
        ))}
      </div>
    </div>
  );
}

function Bar({ segment, axis, onClick }: { segment: Segment; axis: Axis; onClick: (() => void) | undefined }) {
  const [from, to] = [xOf(axis, segment.from), xOf(axis, segment.to)];
  const { token, pattern } = KINDS[segment.kind];
  return (
    <div
      title={segmentText(segment)}
      onClick={onClick}
      className={cn("absolute top-1.5 h-4 rounded-sm", pattern, segment.open && segment.kind === "work" && "timeline-live")}
      style={{ left: from, width: Math.max(3, to - from), color: statusColor(token) }}
    />
  );
}

/** "21:20:29": the time of day beside the time since the start. */
function time(at: number): string {
  return absolute(at).split(", ").at(-1) ?? "";
}

/** The time since the timeline began, followed by the time of day. */
function Marks({ axis, began }: { axis: Axis; began: number }): ReactNode {
  return (
    <>
      {axis.pieces.filter((piece) => piece.folded).map((piece) => (
        <span key={piece.x} className="timeline-fold absolute inset-y-0 overflow-hidden text-center text-xs leading-6 text-muted" style={{ left: piece.x, width: piece.width }} title={`${duration(piece.to - piece.from)} without activity`}>
          {duration(piece.to - piece.from).split(" ").slice(0, 2).join(" ")}
        </span>
      ))}
      {marksOf(axis, began).map((mark) => (
        <span key={mark.at} title={absolute(mark.at)} className="absolute inset-y-0 border-l pl-1 text-xs leading-6 whitespace-nowrap text-muted" style={{ left: mark.x }}>
          {mark.text}
        </span>
      ))}
    </>
  );
}

function Legend({ timeline }: { timeline: Timeline }) {
  const used = new Set(timeline.rows.flatMap((row) => row.segments.map((segment) => segment.kind)));
  return (
    <ul aria-label="What the patterns mean" className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-muted">
      {KIND_NAMES
        .filter((kind) => used.has(kind))
        .map((kind) => (
          <li key={kind} className="inline-flex items-center gap-1.5">
            <span aria-hidden className={cn("inline-block h-3 w-6 rounded-sm", KINDS[kind].pattern)} style={{ color: statusColor(KINDS[kind].token) }} />
            {KINDS[kind].word}
          </li>
        ))}
    </ul>
  );
}

/** The wheel over the header, or with Ctrl (or two fingers) anywhere: the page itself mustn't scroll or zoom. */
function useWheel(box: React.RefObject<HTMLDivElement | null>, onWheel: (x: number, by: number) => void): void {
  const turned = useEffectEvent((event: WheelEvent) => {
    const over = event.target instanceof Element && event.target.closest("[data-overview]");
    if ((!over && !event.ctrlKey && !event.metaKey) || event.deltaY === 0) return;
    event.preventDefault();
    onWheel(event.clientX, event.deltaY);
  });
  useEffect(() => {
    const { current } = box;
    if (!current) return;
    const listen = (event: WheelEvent) => { turned(event); };
    current.addEventListener("wheel", listen, { passive: false });
    return () => { current.removeEventListener("wheel", listen); };
  }, [box]);
}

function useWidth(box: React.RefObject<HTMLDivElement | null>): number {
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    const measure = () => { setWidth(Math.max(120, current.clientWidth)); };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => { observer.disconnect(); };
  }, [box]);
  return width;
}
