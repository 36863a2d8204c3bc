import type { ErrorComponentProps } from "@tanstack/react-router";
import { ErrorState, LoadingRows } from "@/ui/States";

/** While the code of a page comes. */
export function Loading() {
  return <LoadingRows rows={8} label="Loading the page" />;
}

/** A page that can't be shown at all. */
export function PageError({ error, reset }: ErrorComponentProps) {
  return <ErrorState title="This page can't be shown" error={error} onRetry={reset} />;
}
