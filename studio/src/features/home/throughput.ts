import type { Metrics, MetricsBucket } from "@/api/types";
import type { Millis, Zone } from "@/model/time";
import { clock, duration, moment } from "@/model/time";
import type { BarOf } from "@/ui/charts";

/** The bars of a window: what ended in each of its parts. */
export function barsOf({ buckets, bucket_seconds }: Metrics, now: Millis, zone: Zone = {}): BarOf[] {
  return buckets.map((bucket) => {
    const from = moment(bucket.at);
    const span = `${clock(from, now, zone)}–${clock(from + bucket_seconds * 1000, now, zone)}`;
    return {
      label: `${span}: ${ended(bucket)}`,
      parts: [
        { token: "completed", value: bucket.completed },
        { token: "canceled", value: bucket.canceled },
        { token: "failed", value: bucket.failed },
      ],
    };
  });
}

type Ended = Pick<MetricsBucket, "completed" | "failed" | "canceled">;

/** "12 completed, 1 failed"; zeros are left out, unless all are zero. */
export function ended({ completed, failed, canceled }: Ended): string {
  const said = [[completed, "completed"] as const, [failed, "failed"] as const, [canceled, "cancelled"] as const].filter(([count]) => count > 0);
  return said.length === 0 ? "nothing ended" : said.map(([count, word]) => `${count.toLocaleString("en")} ${word}`).join(", ");
}

/** "half within 2 s, 95 % within 40 s". */
export function latency({ p50_seconds, p95_seconds }: Pick<Metrics, "p50_seconds" | "p95_seconds">): string {
  if (p50_seconds === null || p95_seconds === null) return "no run completed";
  return `half within ${duration(p50_seconds * 1000)}, 95 % within ${duration(p95_seconds * 1000)}`;
}
