import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ErrorState, LoadingRows } from "./States";

export interface QueryViewProps<Data> {
  query: Pick<UseQueryResult<Data>, "data" | "error" | "refetch" | "isPlaceholderData">;
  children: (data: Data) => ReactNode;
  loading?: ReactNode;
  /** The error's title: "The runs couldn't be loaded". */
  errorTitle?: string;
}

/** Loading, error or data. Loaded data stays on screen: an error of a refetch is shown above it. */
export function QueryView<Data>({ query, children, loading, errorTitle }: QueryViewProps<Data>) {
  const { data, error } = query;
  return (
    <>
      {error && <ErrorState error={error} title={errorTitle} onRetry={() => void query.refetch()} />}
      {data !== undefined && (
        <div aria-busy={query.isPlaceholderData || undefined} className={query.isPlaceholderData ? "opacity-60" : undefined}>
          {children(data)}
        </div>
      )}
      {data === undefined && !error && (loading ?? <LoadingRows />)}
    </>
  );
}
