import type { ErrorComponentProps } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { useLiveStatus } from "@/stream/live";
import { CodeMissing, reloadIfServed } from "@/ui/code";
import { ErrorState, LoadingRows } from "@/ui/States";

/** While the code of a page comes. */
export function Loading() {
  return <LoadingRows rows={8} label="Loading the page" />;
}

/** A page that can't be shown at all. */
export function PageError({ error, reset }: ErrorComponentProps) {
  if (error instanceof CodeMissing) return <PageMissing error={error} />;
  return <ErrorState title="This page can't be shown" error={error} onRetry={reset} />;
}

/** The address is that of the page already: it comes once the server is heard again. */
function PageMissing({ error }: { error: CodeMissing }) {
  const { state } = useLiveStatus();
  const before = useRef(state);
  useEffect(() => {
    if (state === "live" && before.current !== "live") void reloadIfServed();
    before.current = state;
  }, [state]);
  return <ErrorState error={error} onRetry={() => void reloadIfServed()} />;
}
