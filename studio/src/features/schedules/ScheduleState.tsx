import type { Schedule } from "@/api/types";
import { Badge } from "@/ui/Badge";
import { Tooltip } from "@/ui/Tooltip";

/** Active or paused, and whether the process that answers knows it at all. */
export function ScheduleState({ schedule }: { schedule: Schedule }) {
  return (
    <span className="inline-flex flex-wrap gap-1">
      {schedule.paused ? <Badge className="border-paused! text-paused!">Paused</Badge> : <Badge>Active</Badge>}
      {!schedule.here && (
        <Tooltip text="The process that answers doesn't declare it: another one does, or it was taken out of the code.">
          <button type="button" className="rounded-sm border border-backoff px-1.5 text-xs text-backoff">
            Not declared here
          </button>
        </Tooltip>
      )}
    </span>
  );
}
