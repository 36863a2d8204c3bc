import { Inbox, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "./Button";
import { cn } from "./cn";

/** A grey placeholder for something that is loading; it keeps the layout stable. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden className={cn("rounded-sm bg-hover", className ?? "h-4 w-full")} />;
}

/** `rows` lines that will be a list. Screen readers get "Loading". */
export function LoadingRows({ rows = 6, label = "Loading" }: { rows?: number; label?: string }) {
  return (
    <div role="status" className="flex flex-col gap-2 py-2">
      <span className="sr-only">{label}</span>
      {Array.from({ length: rows }, (_, at) => (
        <Skeleton key={at} className="h-7" />
      ))}
    </div>
  );
}

/** Shown where there is nothing: why, and what to do. */
export function EmptyState({ title, children, action, icon }: { title: string; children?: ReactNode; action?: ReactNode; icon?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-10 text-center">
      <span className="text-muted">{icon ?? <Inbox size={28} strokeWidth={1.5} aria-hidden />}</span>
      <p className="font-semibold">{title}</p>
      {children && <div className="max-w-prose text-muted">{children}</div>}
      {action}
    </div>
  );
}

export interface ErrorStateProps {
  /** The error: of an ApiError, its title, detail and status are shown. */
  error: unknown;
  onRetry?: (() => void) | undefined;
  /** The error's title: "The runs couldn't be loaded". */
  title?: string | undefined;
}

/** The text says what is missing; retrying wouldn't help. */
const FORBIDDEN = 403;

export function ErrorState({ error, onRetry, title }: ErrorStateProps) {
  const said = wordsOf(error);
  return (
    <div role="alert" className="flex flex-col items-start gap-2 rounded-md border border-failed/50 px-4 py-3">
      <p className="flex items-center gap-2 font-semibold text-failed">
        <TriangleAlert size={16} aria-hidden />
        {title ?? said.title}
        {said.status > 0 && said.status !== FORBIDDEN && <span className="text-xs font-normal">HTTP {said.status}</span>}
      </p>
      {title && said.title !== said.detail && <p>{said.title}</p>}
      {said.detail && <p className="wrap-anywhere whitespace-pre-wrap text-muted">{said.detail}</p>}
      {onRetry && said.status !== FORBIDDEN && (
        <Button size="sm" onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Title, detail and HTTP status of an error; 0 where there was no answer. */
export function wordsOf(error: unknown): { title: string; detail: string; status: number } {
  if (error instanceof Error && "problem" in error) {
    return error.problem as { title: string; detail: string; status: number };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { title: "Something went wrong in Studio", detail, status: 0 };
}
