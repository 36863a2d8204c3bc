/**
 * The axis of a timeline maps moments to pixels, piece by piece. Idle stretches are folded to a fixed width
 * if they would compress the rest too much.
 */
import { type Millis, duration } from "./time";
import type { Timeline } from "./timeline";

export interface Piece {
  from: Millis;
  to: Millis;
  /** Pixels. */
  x: number;
  width: number;
  folded: boolean;
}

export interface Axis {
  pieces: readonly Piece[];
  width: number;
}

export const FOLDED_WIDTH = 48;
/** A stretch is folded if it takes more than this share of the whole, and longer than this. */
const SHARE = 0.1;
const LEAST = 1_000;
/** The fraction of an idle stretch that stays visible beside activity, so that a bar doesn't touch the fold. */
const MARGIN = 0.02;

type Span = readonly [Millis, Millis];

/**
 * An axis `width` pixels wide, from `timeline.from` to `timeline.to`, which may be a part of what the rows take. With
 * `real`, or where nothing is idle for long, it is one even piece.
 */
export function axisOf(timeline: Pick<Timeline, "rows" | "from" | "to">, width: number, real = false): Axis {
  const { from } = timeline;
  const to = Math.max(timeline.to, from + 1);
  const idle = real ? [] : idleSpans(timeline, from, to);
  // No room for folds: an even axis is easier to read than a row of folds.
  if (idle.length * FOLDED_WIDTH > width / 2) return { pieces: [{ from, to, x: 0, width, folded: false }], width };
  return { pieces: layOut(from, to, idle, width), width };
}

/** The position of `at` in pixels; moments outside the axis are put at its edge. */
export function xOf(axis: Axis, at: Millis): number {
  const first = axis.pieces[0];
  if (!first || at <= first.from) return 0;
  const piece = axis.pieces.find((one) => at <= one.to);
  return piece ? piece.x + (piece.width * (at - piece.from)) / (piece.to - piece.from) : axis.width;
}

/** The moment at that pixel. */
export function momentAt(axis: Axis, x: number): Millis {
  const piece = axis.pieces.find((one) => x <= one.x + one.width) ?? axis.pieces.at(-1);
  if (!piece) return 0;
  const share = piece.width === 0 ? 0 : Math.min(1, Math.max(0, (x - piece.x) / piece.width));
  return piece.from + (piece.to - piece.from) * share;
}

export interface Mark {
  x: number;
  at: Millis;
  /** Time since the start. */
  text: string;
}

const STEPS: readonly Millis[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5,
  216e5, 432e5, 864e5, 1728e5, 6048e5, 12096e5, 2592e6, 7776e6, 31536e6,
];

/** Round moments on the axis, counted from `start`, at least `apart` pixels from each other. */
export function marksOf(axis: Axis, start = axis.pieces[0]?.from ?? 0, apart = 80): Mark[] {
  const marks: Mark[] = [];
  for (const piece of axis.pieces) {
    if (piece.folded || piece.width < 1) continue;
    const least = ((piece.to - piece.from) / piece.width) * apart;
    const step = STEPS.find((one) => one >= least) ?? 31536e6 * Math.ceil(least / 31536e6);
    for (let n = Math.ceil((piece.from - start) / step); start + n * step <= piece.to; n += 1) {
      const at = start + n * step;
      const x = xOf(axis, at);
      const last = marks.at(-1);
      if (!last || x - last.x >= apart) marks.push({ x, at, text: n === 0 ? "0" : duration(at - start) });
    }
  }
  return marks;
}

function idleSpans(timeline: Pick<Timeline, "rows">, from: Millis, to: Millis): Span[] {
  const least = Math.max(LEAST, (to - from) * SHARE);
  const busy = timeline.rows
    .flatMap((row) => row.segments)
    .filter((one) => one.kind === "work" || one.kind === "failed" || one.kind === "canceled")
    .filter((one) => one.to >= from && one.from <= to)
    .map((one): Span => [one.from, one.to])
    .sort((a, b) => a[0] - b[0]);
  const idle: Span[] = [];
  let at = from;
  for (const [start, end] of busy) {
    if (start - at > least) idle.push([at, start]);
    at = Math.max(at, end);
  }
  if (to - at > least) idle.push([at, to]);
  return idle.length > 0 && busy.length > 0 ? idle.map(([a, b]): Span => shrunk(a, b, from, to)) : [];
}

function shrunk(a: Millis, b: Millis, from: Millis, to: Millis): Span {
  const margin = (b - a) * MARGIN;
  return [a === from ? a : a + margin, b === to ? b : b - margin];
}

function layOut(from: Millis, to: Millis, idle: readonly Span[], width: number): Piece[] {
  const shown = to - from - idle.reduce((sum, [a, b]) => sum + b - a, 0);
  const room = width - idle.length * FOLDED_WIDTH;
  const pieces: Piece[] = [];
  let [at, x] = [from, 0];
  const add = (until: Millis, folded: boolean) => {
    if (until <= at) return;
    const wide = folded ? FOLDED_WIDTH : shown <= 0 ? 0 : (room * (until - at)) / shown;
    pieces.push({ from: at, to: until, x, width: wide, folded });
    [at, x] = [until, x + wide];
  };
  for (const [a, b] of idle) {
    add(a, false);
    add(b, true);
  }
  add(to, false);
  return pieces;
}
