import type { ReactNode } from "react";
import type { StatusToken } from "./StatusShape";
import { statusColor } from "./StatusShape";

export interface Part {
  token: StatusToken;
  value: number;
}

export interface BarOf {
  /** The bar's description, spoken and shown: "21:00–21:05: 12 completed, 1 failed". */
  label: string;
  parts: readonly Part[];
}

export interface BarsProps {
  /** The text alternative of the chart, with its totals. */
  label: string;
  bars: readonly BarOf[];
  height?: number;
}

/** Stacked bars side by side; the failed parts are hatched too, for people who can't see the colour. */
export function Bars({ label, bars, height = 64 }: BarsProps) {
  const top = Math.max(1, ...bars.map((bar) => sum(bar.parts)));
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${String(bars.length * 10)} ${String(height)}`} preserveAspectRatio="none" className="block w-full" style={{ height }}>
      <line x1="0" x2={bars.length * 10} y1={height - 0.5} y2={height - 0.5} stroke="var(--line)" vectorEffect="non-scaling-stroke" />
      {bars.map((bar, at) => (
        <g key={at}>
          <title>{bar.label}</title>
          <rect x={at * 10} y="0" width="10" height={height} fill="transparent" />
          {stacked(bar.parts, height - 1, top).map((part) => (
            <g key={part.token}>
              <rect x={at * 10 + 1.5} y={part.y} width="7" height={part.height} fill={statusColor(part.token)} />
              {part.token === "failed" && <Hatch x={at * 10 + 1.5} y={part.y} height={part.height} />}
            </g>
          ))}
        </g>
      ))}
    </svg>
  );
}

function Hatch({ x, y, height }: { x: number; y: number; height: number }) {
  const lines = Array.from({ length: Math.floor(height / 4) }, (_, at) => y + 2 + at * 4);
  return lines.map((at) => <line key={at} x1={x} x2={x + 7} y1={at} y2={at} stroke="var(--surface)" strokeWidth="1.5" />);
}

function stacked(parts: readonly Part[], height: number, top: number) {
  let floor = height;
  return parts
    .filter((part) => part.value > 0)
    .map((part) => {
      // One of a thousand must still be visible.
      const size = Math.max(2, (part.value / top) * height);
      floor -= size;
      return { token: part.token, y: Math.max(0, floor), height: Math.min(size, height) };
    });
}

const sum = (parts: readonly Part[]) => parts.reduce((all, part) => all + part.value, 0);

/** A line of values over equal steps; nulls are gaps. */
export function Sparkline({ label, values, height = 40, token = "running" }: { label: string; values: readonly (number | null)[]; height?: number; token?: StatusToken }) {
  const top = Math.max(...values.map((value) => value ?? 0), Number.EPSILON);
  const y = (value: number) => height - 3 - (value / top) * (height - 6);
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${String(Math.max(1, values.length - 1) * 10)} ${String(height)}`} preserveAspectRatio="none" className="block w-full" style={{ height }}>
      {segments(values).map((segment) => (
        <path
          key={segment[0]?.at}
          d={lineOf(segment, y)}
          fill="none"
          stroke={statusColor(token)}
          strokeWidth="2"
          strokeLinecap="round"
          strokeLinejoin="round"
          vectorEffect="non-scaling-stroke"
        />
      ))}
    </svg>
  );
}

interface Point {
  at: number;
  value: number;
}

function lineOf(points: readonly Point[], y: (value: number) => number): string {
  const line = points.map(({ at, value }, index) => `${index ? "L" : "M"}${String(at * 10)} ${y(value).toFixed(2)}`).join("");
  // A single point is drawn by the line's round ends.
  return points.length === 1 ? `${line}h0.01` : line;
}

function segments(values: readonly (number | null)[]): Point[][] {
  const found: Point[][] = [[]];
  values.forEach((value, at) => {
    if (value === null) found.push([]);
    else found.at(-1)?.push({ at, value });
  });
  return found.filter((segment) => segment.length > 0);
}

export interface Outcome {
  id: string;
  token: StatusToken;
  /** Relative height, 0..1; null where nothing is known. */
  size: number | null;
  label: string;
}

/**
 * The outcomes of the last runs, oldest first: colour and shape show the outcome, height the duration. `label` is the same as text.
 * The bars are a pointer's short cut: `link` makes each a link that no keyboard stops at, because the same runs are in a list.
 */
export function OutcomeStrip({ label, outcomes, link }: { label: string; outcomes: readonly Outcome[]; link: (outcome: Outcome, bar: ReactNode) => ReactNode }) {
  return (
    <span className="inline-flex">
      <span className="sr-only">{label}</span>
      <span aria-hidden className="flex h-6 items-end">
        {outcomes.map((outcome) => (
          <span key={outcome.id} title={outcome.label} className="h-full hover:bg-hover">
            {link(outcome, <OutcomeBar outcome={outcome} />)}
          </span>
        ))}
      </span>
    </span>
  );
}

const HOLLOW: readonly StatusToken[] = ["queued", "running", "human", "sleeping", "backoff"];

function OutcomeBar({ outcome }: { outcome: Outcome }) {
  const height = 6 + Math.round((outcome.size ?? 0) * 16);
  const color = statusColor(outcome.token);
  const hollow = HOLLOW.includes(outcome.token);
  return (
    <svg width="7" height="24" viewBox="0 0 7 24" aria-hidden className="block">
      <rect x="1.5" y={24 - height} width="4" height={height - 0.5} fill={hollow ? "none" : color} stroke={color} strokeWidth="1" />
      {outcome.token === "failed" && <path d={`M0.5 ${String(Math.max(1, 21 - height))}l6 6m0-6l-6 6`} stroke={color} strokeWidth="1.4" />}
      {outcome.token === "canceled" && <path d="M0 24L7 16" stroke="var(--surface)" strokeWidth="1.4" />}
    </svg>
  );
}

/** Parts of a whole in one bar; the rest is empty. Failed parts are hatched too, for people who can't see the colour. */
export function Stack({ label, said, value, of, parts }: { label: string; said: string; value: number; of: number; parts: readonly Part[] }) {
  return (
    <div role="progressbar" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={Math.max(of, value)} aria-valuetext={said} className="flex h-3 w-full min-w-24 overflow-hidden rounded-sm border border-control">
      {parts
        .filter((part) => part.value > 0)
        .map(({ token, value: size }) => (
          // One of a thousand must still be visible.
          <div key={token} className="h-full min-w-0.5" style={{ flex: `${String(size)} 0 0`, background: fillOf(token) }} />
        ))}
      <div style={{ flex: `${String(Math.max(0, of - sum(parts)))} 0 0` }} />
    </div>
  );
}

const fillOf = (token: StatusToken) =>
  token === "failed" ? `repeating-linear-gradient(135deg, ${statusColor(token)} 0 3px, var(--surface) 3px 4px)` : statusColor(token);

/** A part of a whole: "3 of 10". */
export function Meter({ value, of, label, token = "running" }: { value: number; of: number; label: string; token?: StatusToken }) {
  const width = of > 0 ? Math.min(100, (value / of) * 100) : 0;
  return (
    <div role="meter" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={of} className="h-2 w-full min-w-16 overflow-hidden rounded-sm border border-control">
      <div className="h-full" style={{ width: `${String(width)}%`, background: statusColor(token) }} />
    </div>
  );
}
