import type { Schedule } from "@/api/types";
import { moment } from "@/model/time";

export interface Upcoming {
  schedule: Schedule;
  at: string;
}

/** The next ticks of all schedules that tick, the nearest first. */
export function upcoming(schedules: readonly Schedule[], most: number): Upcoming[] {
  return schedules
    .filter((schedule) => !schedule.paused)
    .flatMap((schedule) => schedule.next.map((at) => ({ schedule, at })))
    .sort((a, b) => moment(a.at) - moment(b.at))
    .slice(0, most);
}
