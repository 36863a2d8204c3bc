import { type KeyboardEvent, type PointerEvent, useMemo, useRef } from "react";
import { type Axis, momentAt, xOf } from "@/model/axis";
import { duration } from "@/model/time";
import type { Timeline } from "@/model/timeline";
import { type Range, between, loadOf, wholeOf } from "@/model/zoom";
import { cn } from "@/ui/cn";

const HEIGHT = 28;
/** The width of each bar of activity, in pixels. */
const BAR = 4;
/** A drag over fewer pixels selects no range. */
const MOVED = 4;

export interface OverviewProps {
  timeline: Timeline;
  /** Of the whole timeline. */
  axis: Axis;
  range: Range | null;
  onRange: (range: Range | null) => void;
}

/** The whole timeline in small: drag over it to zoom in on a part; two handles move the ends of that part, with arrow keys too. */
export function Overview({ timeline, axis, range, onRange }: OverviewProps) {
  const box = useRef<HTMLDivElement>(null);
  const grabbed = useRef<{ x: number; other: number | null } | null>(null);
  const [a, b] = range ? [xOf(axis, range.from), xOf(axis, range.to)] : [0, axis.width];
  const xAt = (event: PointerEvent) => event.clientX - (box.current?.getBoundingClientRect().left ?? 0);
  const grab = (event: PointerEvent<HTMLElement>, other: number | null) => {
    if (event.button !== 0) return;
    event.stopPropagation();
    box.current?.setPointerCapture(event.pointerId);
    grabbed.current = { x: xAt(event), other };
  };
  const move = (event: PointerEvent) => {
    const { current } = grabbed;
    if (!current) return;
    const x = xAt(event);
    if (current.other === null && Math.abs(x - current.x) < MOVED) return;
    onRange(between(axis, current.other ?? current.x, x));
  };
  return (
    <div
      ref={box}
      data-overview
      className="relative touch-none overflow-hidden select-none"
      style={{ height: HEIGHT }}
      onPointerDown={(event) => { grab(event, null); }}
      onPointerMove={move}
      onPointerUp={() => { grabbed.current = null; }}
      onPointerCancel={() => { grabbed.current = null; }}
    >
      <Load timeline={timeline} axis={axis} />
      {range && (
        <>
          <div aria-hidden className="timeline-outside absolute inset-y-0 left-0" style={{ width: a }} />
          <div aria-hidden className="timeline-outside absolute inset-y-0 right-0" style={{ width: Math.max(0, axis.width - b) }} />
        </>
      )}
      <End label="Shown from" x={a} axis={axis} onGrab={(event) => { grab(event, b); }} onMove={(x) => { onRange(between(axis, Math.min(x, b - 1), b)); }} />
      <End label="Shown until" x={b} axis={axis} onGrab={(event) => { grab(event, a); }} onMove={(x) => { onRange(between(axis, a, Math.max(x, a + 1))); }} />
    </div>
  );
}

function Load({ timeline, axis }: { timeline: Timeline; axis: Axis }) {
  const bins = Math.max(1, Math.floor(axis.width / BAR));
  const load = useMemo(() => loadOf(timeline, axis, bins), [timeline, axis, bins]);
  return (
    <svg aria-hidden width={axis.width} height={HEIGHT} className="absolute inset-0">
      {load.map((bin, at) => {
        if (bin.load === 0) return null;
        const height = 4 + bin.load * (HEIGHT - 10);
        return <rect key={at} x={(at * axis.width) / bins} y={HEIGHT - 3 - height} width={BAR - 1} height={height} fill={bin.failed ? "var(--status-failed)" : "var(--status-running)"} />;
      })}
    </svg>
  );
}

interface EndProps {
  label: string;
  x: number;
  axis: Axis;
  onGrab: (event: PointerEvent<HTMLElement>) => void;
  onMove: (x: number) => void;
}

/** A handle at one end of the range. It has the keys of a slider. */
function End({ label, x, axis, onGrab, onMove }: EndProps) {
  const whole = wholeOf(axis);
  const at = momentAt(axis, x) - whole.from;
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -8, ArrowDown: -8, ArrowRight: 8, ArrowUp: 8, PageDown: -64, PageUp: 64, Home: -axis.width, End: axis.width }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onMove(Math.min(axis.width, Math.max(0, x + by)));
  };
  return (
    <span
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={Math.round(whole.to - whole.from)}
      aria-valuenow={Math.round(at)}
      aria-valuetext={`${duration(at)} after the start`}
      data-inset-focus
      className={cn("absolute inset-y-0 flex w-6 cursor-ew-resize justify-center")}
      style={{ left: Math.min(axis.width - 18, Math.max(-6, x - 12)) }}
      onPointerDown={onGrab}
      onKeyDown={onKeyDown}
    >
      <span aria-hidden className="h-full w-1.5 rounded-sm bg-control" />
    </span>
  );
}
