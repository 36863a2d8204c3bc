import type { ReactNode } from "react";

/** The shapes of statuses: they can be told apart at 12 px in grey. */
export type StatusShapeName =
  | "hollow-circle"
  | "ring"
  | "person"
  | "hourglass"
  | "arrow-circle"
  | "tick-circle"
  | "cross-octagon"
  | "slashed-circle"
  | "bars"
  | "triangle";

/** A colour of theme.css: `--status-<token>`. */
export type StatusToken =
  | "queued"
  | "running"
  | "human"
  | "sleeping"
  | "backoff"
  | "completed"
  | "failed"
  | "canceled"
  | "paused"
  | "stuck";

export const statusColor = (token: StatusToken) => `var(--status-${token})`;

const SHAPES: Record<StatusShapeName, ReactNode> = {
  "hollow-circle": <circle cx="8" cy="8" r="5.5" />,
  ring: (
    <>
      <circle cx="8" cy="8" r="5.5" opacity="0.35" />
      <path d="M8 2.5a5.5 5.5 0 0 1 5.5 5.5" strokeWidth="2.4" className="origin-center animate-spin-slow" />
    </>
  ),
  person: (
    <>
      <path d="M2.2 2.2h11.6v9.2H8.6L5.6 14v-2.6H2.2z" />
      <circle cx="8" cy="5.3" r="1.4" fill="currentColor" stroke="none" />
      <path d="M5.2 9.6c.4-2 5.2-2 5.6 0" />
    </>
  ),
  hourglass: <path d="M4 2h8M4 14h8M5 2v2.6L11 11.4V14M11 2v2.6L5 11.4V14" />,
  "arrow-circle": <path d="M13 8.6A5.2 5.2 0 1 1 11.7 4.4M12.6 1.6v3.2H9.4" />,
  "tick-circle": (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="m5.2 8.2 2 2 3.6-4.2" />
    </>
  ),
  "cross-octagon": (
    <>
      <path d="M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4z" />
      <path d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4" />
    </>
  ),
  "slashed-circle": (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="m4 12 8-8" />
    </>
  ),
  bars: <path d="M5.5 3v10M10.5 3v10" strokeWidth="2.4" />,
  triangle: (
    <>
      <path d="M8 2 14.5 13.5h-13z" />
      <path d="M8 6.4v3.4M8 11.4v.4" />
    </>
  ),
};

export interface StatusShapeProps {
  shape: StatusShapeName;
  token: StatusToken;
  size?: number;
  /** Its text alternative, where no word is beside it. */
  label?: string | undefined;
}

export function StatusShape({ shape, token, size = 14, label }: StatusShapeProps) {
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      className="shrink-0"
      style={{ color: statusColor(token) }}
      {...(label ? { role: "img", "aria-label": label } : { "aria-hidden": true })}
    >
      {SHAPES[shape]}
    </svg>
  );
}
