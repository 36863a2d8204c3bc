import type { ReactNode } from "react";
import { cn } from "./cn";
import type { StatusShapeName, StatusToken } from "./StatusShape";
import { StatusShape, statusColor } from "./StatusShape";

/** A small word in a box: a label, a kind, a count. */
export function Badge({ children, className, title }: { children: ReactNode; className?: string; title?: string | undefined }) {
  return (
    <span title={title} className={cn("inline-flex max-w-full items-center gap-1 rounded-sm border border-line bg-subtle px-1.5 text-xs text-muted", className)}>
      {children}
    </span>
  );
}

export interface StatusBadgeProps {
  word: string;
  shape: StatusShapeName;
  token: StatusToken;
  /** More text after the status: "attempt 3 of 5". */
  detail?: string | undefined;
  /** A filled badge asks for action: by default, only if a person has to act. */
  filled?: boolean;
}

/** A status as shape, word and colour; its props are a row of model/status.ts. */
export function StatusBadge({ word, shape, token, detail, filled = token === "human" }: StatusBadgeProps) {
  const color = statusColor(token);
  const tint = { color, background: `color-mix(in srgb, ${color} 12%, transparent)`, borderColor: `color-mix(in srgb, ${color} 40%, transparent)` };
  return (
    <span
      className={cn("inline-flex items-center gap-1.5 rounded-sm align-middle text-xs font-medium whitespace-nowrap", filled && "border px-1.5 py-px")}
      style={filled ? tint : { color }}
    >
      <StatusShape shape={shape} token={token} />
      {word}
      {detail && <span className="font-normal">{detail}</span>}
    </span>
  );
}
