import type { Schedule } from "@/api/types";
import { clock, moment, relative } from "@/model/time";
import { useNow } from "@/ui/useNow";

/** The next tick: the time until then, in the schedule's zone, and in the reader's if that differs. */
export function NextTick({ schedule }: { schedule: Schedule }) {
  const now = useNow();
  const next = schedule.next[0];
  if (schedule.paused) return <span className="text-muted">paused</span>;
  if (next === undefined) return <span className="text-muted">never</span>;
  return (
    <div>
      <div>{relative(moment(next), now)}</div>
      <div className="text-xs text-muted">
        <InZones at={next} zone={schedule.timezone} />
      </div>
    </div>
  );
}

/** "02:30 Europe/Berlin (01:30 for you)". */
export function InZones({ at, zone }: { at: string; zone: string | null }) {
  const now = useNow(60_000);
  const here = clock(moment(at), now);
  const there = zone === null ? here : clock(moment(at), now, { timeZone: zone });
  return (
    <time dateTime={at}>
      {there} {zone}
      {here !== there && ` (${here} for you)`}
    </time>
  );
}
