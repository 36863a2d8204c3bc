import type { Batch } from "@/api/types";
import { StatusBadge } from "@/ui/Badge";
import { Tooltip } from "@/ui/Tooltip";

/** A batch that ended may have failures: its counts say so, and so does its colour. */
export function BatchStatus({ batch: { status, progress } }: { batch: Batch }) {
  if (status === "running") return <StatusBadge word="Running" shape="ring" token="running" />;
  if (status === "stopped") {
    return (
      <Tooltip text="More runs failed than stop_after_failures allows: the rest was cancelled.">
        <button type="button" className="min-h-6">
          <StatusBadge word="Stopped" shape="cross-octagon" token="failed" />
        </button>
      </Tooltip>
    );
  }
  if (progress.failed > 0) return <StatusBadge word="Ended" shape="cross-octagon" token="failed" />;
  if (progress.canceled > 0) return <StatusBadge word="Ended" shape="slashed-circle" token="canceled" />;
  return <StatusBadge word="Ended" shape="tick-circle" token="completed" />;
}
