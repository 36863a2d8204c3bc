import { useLiveStatus } from "@/stream/live";
import { statusText } from "@/stream/status";
import type { StatusShapeName, StatusToken } from "@/ui/StatusShape";
import { StatusShape } from "@/ui/StatusShape";
import { useNow } from "@/ui/useNow";

const LOOKS: Record<ReturnType<typeof useLiveStatus>["state"], [StatusShapeName, StatusToken]> = {
  live: ["tick-circle", "completed"],
  connecting: ["hollow-circle", "queued"],
  reconnecting: ["arrow-circle", "backoff"],
  paused: ["bars", "paused"],
  ended: ["slashed-circle", "canceled"],
  refused: ["cross-octagon", "failed"],
};

/** The status of the live stream, so that it never stops unnoticed. */
export function LiveStatus() {
  const live = useLiveStatus();
  const now = useNow();
  const [shape, token] = LOOKS[live.state];
  return (
    <span className="inline-flex items-center gap-1.5 text-xs whitespace-nowrap text-muted">
      <StatusShape shape={shape} token={token} size={12} />
      {statusText(live, now)}
    </span>
  );
}
