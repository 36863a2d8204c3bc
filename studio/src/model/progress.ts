/** How far the runs of a batch or a group are, in words and in parts of a bar. */
import type { Progress, RunStatus } from "../api/types";
import { counted } from "./actions";
import { LOOKS, STATUSES } from "./status";
import { type Millis, duration, moment } from "./time";

/** Where a run of many stands: its status, or that a limit holds it back. */
export type Standing = RunStatus | "held";

/** In the order of the bar: what has ended, what goes on, and what hasn't begun. */
export const STANDINGS = ["completed", "failed", "canceled", "running", "retrying", "waiting", "pending", "held"] as const satisfies readonly Standing[];

/** Whether a waiting run waits for a person isn't known from a count: it isn't shown as if it did. */
export const STANDING_LOOKS = {
  ...STATUSES,
  waiting: { ...LOOKS.sleeping, word: STATUSES.waiting.word, meaning: STATUSES.waiting.meaning },
  held: { word: "Held back", shape: "bars", token: "paused", meaning: "It has not begun: a limit or the group lets it through later." },
} as const;

/** How many have completed, failed or been cancelled. */
export const endedOf = ({ completed, failed, canceled }: Progress) => completed + failed + canceled;

/** "420 of 1,000 ended". */
export function endedText(progress: Progress): string {
  return `${grouped(endedOf(progress))} of ${grouped(progress.total)} ended`;
}

/** All counts that aren't 0: "400 completed, 20 failed, 580 queued". */
export function countsText(progress: Progress): string {
  const parts = STANDINGS.filter((one) => progress[one] > 0).map((one) => `${grouped(progress[one])} ${STANDING_LOOKS[one].word.toLowerCase()}`);
  return parts.length === 0 ? "no runs" : parts.join(", ");
}

/** "12 per second", "30 per minute": what ended in the last minute. */
export function rateText({ rate }: Pick<Progress, "rate">): string {
  if (rate <= 0) return "none in the last minute";
  if (rate >= 1) return `${grouped(Math.round(rate * 10) / 10)} per second`;
  return `${grouped(Math.max(1, Math.round(rate * 60)))} per minute`;
}

/** "about 3 min 20 s"; of what has ended, how long it took. */
export function leftText(progress: Pick<Progress, "eta" | "started_at" | "finished_at">, now: Millis): string {
  const { eta, started_at, finished_at } = progress;
  if (finished_at !== null) return `none: it took ${duration(moment(finished_at) - moment(started_at))}`;
  if (eta === null) return "not known yet";
  const left = moment(eta) - now;
  return left < 1_000 ? "about a second" : `about ${duration(Math.round(left / 1000) * 1000)}`;
}

/** What cancelling would stop: "580 runs". */
export const openText = (progress: Progress) => counted(progress.total - endedOf(progress), "run");

const GROUPED = new Intl.NumberFormat("en-GB");
export const grouped = (count: number) => GROUPED.format(count);
