import { expect, test } from "vitest";
import type { Metrics } from "@/api/types";
import { barsOf, ended, latency } from "./throughput";

test("what ended is said without zeros", () => {
  expect(ended({ completed: 1200, failed: 1, canceled: 0 })).toBe("1,200 completed, 1 failed");
  expect(ended({ completed: 0, failed: 0, canceled: 0 })).toBe("nothing ended");
});

test("latency in words", () => {
  expect(latency({ p50_seconds: 2, p95_seconds: 90 })).toBe("half within 2 s, 95 % within 1 min 30 s");
  expect(latency({ p50_seconds: null, p95_seconds: null })).toBe("no run completed");
});

test("each bar says its time and its counts", () => {
  const metrics = {
    bucket_seconds: 300,
    buckets: [{ at: "2026-11-25T10:00:00Z", completed: 2, failed: 1, canceled: 0, p50_seconds: 1, p95_seconds: 2 }],
  } as unknown as Metrics;
  expect(barsOf(metrics, Date.parse("2026-11-25T12:00:00Z"), { timeZone: "UTC" })[0]?.label).toBe("10:00–10:05: 2 completed, 1 failed");
});
