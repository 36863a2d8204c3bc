import type { ErrorComponentProps } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { useLiveStatus } from "@/stream/live";
import { CodeMissing, reloadIfServed } from "@/ui/code";
import { ErrorState, LoadingRows } from "@/ui/States";

/** Shown while the code of a page is loading. */
export function Loading() {
  return <LoadingRows rows={8} label="Loading the page" />;
}

/** A page that can't be shown at all. */
export function PageError({ error, reset }: ErrorComponentProps) {
  if (error instanceof CodeMissing) return <PageMissing error={error} />;
  return <ErrorState title="This page can't be shown" error={error} onRetry={reset} />;
}

/** The address is already that of the page: the page is loaded once the server can be reached again. */
function PageMissing({ error }: { error: CodeMissing }) {
  const { state } = useLiveStatus();
  const before = useRef(state);
  useEffect(() => {
    if (state === "live" && before.current !== "live") void reloadIfServed();
    before.current = state;
  }, [state]);
  return <ErrorState error={error} onRetry={() => void reloadIfServed()} />;
}
