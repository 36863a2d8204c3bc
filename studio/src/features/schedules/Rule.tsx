import type { Schedule } from "@/api/types";
import { ruleText, ruleWords } from "@/model/cron";

/** The rule in words where there are any, as it is written, and the zone that it is read in. */
export function Rule({ schedule }: { schedule: Pick<Schedule, "rule" | "timezone"> }) {
  const words = ruleWords(schedule.rule);
  return (
    <div>
      <div>{words ?? <code>{ruleText(schedule.rule)}</code>}</div>
      <div className="text-xs text-muted">
        {words && <code className="mr-1">{ruleText(schedule.rule)}</code>}
        {schedule.timezone}
      </div>
    </div>
  );
}
