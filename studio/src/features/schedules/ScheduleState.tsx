import type { Schedule } from "@/api/types";
import { Badge } from "@/ui/Badge";
import { Tooltip } from "@/ui/Tooltip";

/** It was to fire once, and its moment has passed. */
const isOver = ({ declared, next }: Schedule) => !declared && next.length === 0;

/** Active, paused or failing, and whether the process that answers knows it at all. */
export function ScheduleState({ schedule }: { schedule: Schedule }) {
  return (
    <span className="inline-flex flex-wrap gap-1">
      {schedule.paused ? <Badge className="border-paused! text-paused!">Paused</Badge> : !schedule.error && <Badge>{isOver(schedule) ? "Over" : "Active"}</Badge>}
      {schedule.error && (
        <Tooltip text={`It fires nothing: ${schedule.error}`}>
          <button type="button" className="rounded-sm border border-failed px-1.5 text-xs text-failed">
            Failing
          </button>
        </Tooltip>
      )}
      {!schedule.here && schedule.declared && (
        <Tooltip text="This server's process doesn't declare it: another process does, or it was removed from the code.">
          <button type="button" className="rounded-sm border border-backoff px-1.5 text-xs text-backoff">
            Not declared here
          </button>
        </Tooltip>
      )}
    </span>
  );
}
