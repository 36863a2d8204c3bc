import type { Schedule } from "@/api/types";
import { moment } from "@/model/time";

export interface Upcoming {
  schedule: Schedule;
  at: string;
}

/** The next tick of each schedule that ticks, the nearest first: one that ticks often hides no other. */
export function upcoming(schedules: readonly Schedule[], most: number): Upcoming[] {
  return schedules
    .filter((schedule) => !schedule.paused)
    .flatMap((schedule) => schedule.next.slice(0, 1).map((at) => ({ schedule, at })))
    .sort((a, b) => moment(a.at) - moment(b.at))
    .slice(0, most);
}
