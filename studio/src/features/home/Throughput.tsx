import { useQuery } from "@tanstack/react-query";
import { metricsQuery } from "@/api/queries";
import type { Metrics, MetricsWindow } from "@/api/types";
import { Bars, Sparkline } from "@/ui/charts";
import { Card } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { Skeleton } from "@/ui/States";
import { useNow } from "@/ui/useNow";
import { barsOf, ended, latency } from "./throughput";

const WINDOWS: readonly (readonly [MetricsWindow, string])[] = [
  ["hour", "Last hour"],
  ["day", "Last 24 hours"],
];

/** Throughput and latency of the last hour and the last day. */
export function Throughput() {
  return (
    <div className="grid gap-3 sm:grid-cols-2">
      {WINDOWS.map(([window, title]) => (
        <Window key={window} window={window} title={title} />
      ))}
    </div>
  );
}

function Window({ window, title }: { window: MetricsWindow; title: string }) {
  // The window moves on even if nothing happens.
  const query = useQuery({ ...metricsQuery(window), refetchInterval: 60_000 });
  return (
    <Card>
      <h3>{title}</h3>
      <QueryView query={query} errorTitle="The figures couldn't be loaded" loading={<Skeleton className="h-36" />}>
        {(metrics) => <Charts metrics={metrics} title={title} />}
      </QueryView>
    </Card>
  );
}

function Charts({ metrics, title }: { metrics: Metrics; title: string }) {
  const now = useNow(60_000);
  return (
    <>
      <p className="mb-1 text-xs text-muted">{ended(metrics)}</p>
      <Bars label={`${title}: ${ended(metrics)}`} bars={barsOf(metrics, now)} height={48} />
      <p className="mt-3 mb-1 text-xs text-muted">Duration: {latency(metrics)}</p>
      <Sparkline label={`${title}, median duration: ${latency(metrics)}`} values={metrics.buckets.map((bucket) => bucket.p50_seconds)} height={32} />
    </>
  );
}
