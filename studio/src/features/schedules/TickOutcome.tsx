import { Link } from "@tanstack/react-router";
import type { Tick } from "@/api/types";
import { LOOKS, STATUSES } from "@/model/status";
import { Badge, StatusBadge } from "@/ui/Badge";
import { RelativeTime } from "@/ui/Time";

const OUTCOMES: Record<Tick["outcome"], { word: string; meaning: string }> = {
  fired: { word: "Fired", meaning: "It started its run." },
  queued: { word: "Queued", meaning: "The previous tick's run is still going: this one fires after it." },
  refused: { word: "Skipped", meaning: "The previous tick's run was still going." },
  missed: { word: "Missed", meaning: "It couldn't be fired in time: no process was running, or the schedule was paused." },
};

/** The outcome of a tick: the status of the run that it started, else why there is none. */
export function TickOutcome({ tick }: { tick: Tick }) {
  const outcome = OUTCOMES[tick.outcome];
  if (tick.status === null) return <Badge title={outcome.meaning}>{outcome.word}</Badge>;
  // Whether it waits for a person isn't known here: don't show it as if it did.
  const look = tick.status === "waiting" ? { ...LOOKS.sleeping, word: STATUSES.waiting.word } : STATUSES[tick.status];
  const badge = <StatusBadge {...look} filled={false} />;
  if (tick.workflow_id === null) return badge;
  return (
    <Link to="/runs/$workflowId" params={{ workflowId: tick.workflow_id }} className="hover:underline">
      {badge}
    </Link>
  );
}

export function LastTick({ tick }: { tick: Tick | null }) {
  if (tick === null) return <span className="text-muted">none yet</span>;
  return (
    <div>
      <TickOutcome tick={tick} />
      <div className="text-xs text-muted">
        <RelativeTime at={tick.scheduled_at} />
      </div>
    </div>
  );
}

export { OUTCOMES };
