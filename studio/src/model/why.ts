/** One sentence that says what a run's state is, why, and when that will change. */
import type { Run, WorkflowDetail } from "@/api/types";
import { END, START, labelIn, words } from "./definition";
import { type Millis, type Zone, clock, moment, relative, short } from "./time";

export interface WhySource {
  run: Pick<
    Run,
    "status" | "place" | "waiting_for" | "due_at" | "error" | "attempt" | "created_at" | "updated_at" | "finished_at"
  > &
    Partial<Pick<Run, "ready_at" | "canceling">>;
  /** Transitions that a person may answer now; by default all that it waits for. */
  answerable?: readonly string[] | undefined;
  /** Children that have not ended. */
  openChildren?: number | undefined;
  /** There may be more than those: not all children were looked at. */
  moreChildren?: boolean | undefined;
  /** When the place was entered; by default, when the run was last updated. */
  since?: Millis | undefined;
  zone?: Zone | undefined;
  /** The workflow's labels for its transitions. */
  definition?: Partial<Pick<WorkflowDetail, "ui">> | null | undefined;
}

/** "Waiting for approve or reject in 'review' for 3 h, the next timer is due at 17:00." */
export function statusSentence(source: WhySource, now: Millis): string {
  const { run } = source;
  const said = sentence(source, now);
  return run.canceling && run.finished_at === null ? `Clearing up, and cancelled then. ${said}` : said;
}

function sentence(source: WhySource, now: Millis): string {
  const { run, zone } = source;
  const due = moment(run.due_at);
  switch (run.status) {
    case "pending":
      if (isHeldBack(run)) return `Held back for ${short(now - moment(run.created_at))}: a limit or its group lets it through later.`;
      return due !== null && due > now
        ? `Starts ${relative(due, now)}, at ${clock(due, now, zone)}.`
        : `Queued for ${short(now - moment(run.created_at))}: the next free worker takes it.`;
    case "running":
      return `Running ${at(run.place)}${forHowLong(source, now)}.`;
    case "waiting":
      return waiting(source, due, now);
    case "retrying":
      return retrying(run, due, now, zone);
    case "failed":
      return `Failed ${at(run.place)} ${ago(run.updated_at, now)}: ${brief(run.error)}`;
    case "canceled":
      return `Cancelled ${at(run.place)} ${ago(run.finished_at ?? run.updated_at, now)}${reasonOf(run.error)}`;
    case "completed":
      return `Completed ${ago(run.finished_at ?? run.updated_at, now)}, after ${took(run)}.`;
  }
}

/** The engine puts "canceled: ..." in front of the reason, which would repeat the sentence. */
function reasonOf(error: string | null): string {
  const said = (error ?? "").replace(/^canceled(: |$)/, "");
  return said === "" ? "." : `: ${brief(said)}`;
}

/** It is neither ready nor due: something else lets it go on. Of a waiting run this doesn't show. */
export function isHeldBack(run: Pick<Run, "status" | "due_at"> & Partial<Pick<Run, "ready_at">>): boolean {
  return (run.status === "pending" || run.status === "retrying") && run.ready_at === null && run.due_at === null;
}

function waiting(source: WhySource, due: Millis | null, now: Millis): string {
  const { run, zone } = source;
  const names = source.answerable ?? run.waiting_for;
  const later = due === null ? "" : due > now ? `, its timer is due at ${clock(due, now, zone)}` : ", its timer is due";
  const long = forHowLong(source, now);
  if (names.length > 0) return `Waiting for ${either(names, source.definition)} ${at(run.place)}${long}${later}.`;
  const open = source.openChildren ?? 0;
  const more = source.moreChildren ? "+" : "";
  if (open > 0) return `Waiting for ${open === 1 && !more ? "a run" : `${open}${more} runs`} that it started, ${at(run.place)}${long}${later}.`;
  if (due === null) return `Waiting for an event or another run ${at(run.place)}${long}.`;
  return due > now
    ? `Sleeping ${at(run.place)}${long}, until ${clock(due, now, zone)} (${relative(due, now)}).`
    : `Sleeping ${at(run.place)}; it is due: the next free worker takes it.`;
}

function retrying(run: WhySource["run"], due: Millis | null, now: Millis, zone?: Zone): string {
  const tries = `${run.attempt} failed ${run.attempt === 1 ? "attempt" : "attempts"}`;
  const next = isHeldBack(run) ? "as soon as a limit lets it through" : due === null || due <= now ? "now" : `at ${clock(due, now, zone)} (${relative(due, now)})`;
  return `Tries again ${next}, after ${tries} ${at(run.place)}: ${brief(run.error)}`;
}

/** No duration is shown for something that has just begun. */
function forHowLong(source: WhySource, now: Millis): string {
  const told = passed(source, now);
  return told.endsWith(" ms") ? "" : ` for ${told}`;
}

function passed({ run, since }: WhySource, now: Millis): string {
  return short(Math.max(0, now - (since ?? moment(run.updated_at))));
}

function at(place: string): string {
  if (place === START) return "at the start";
  return place === END ? "at the end" : `in '${place}'`;
}

function ago(text: string, now: Millis): string {
  const told = relative(moment(text), now);
  return told === "now" ? "just now" : told;
}

function took(run: WhySource["run"]): string {
  return short(moment(run.finished_at ?? run.updated_at) - moment(run.created_at));
}

/** "approve", "approve or reject", "approve, reject or “Ask the customer”": labels as they are on the page. */
export function either(names: readonly string[], definition?: WhySource["definition"]): string {
  const said = names.map((name) => {
    const label = labelIn(definition, name);
    return label === null ? words(name).toLowerCase() : `“${label}”`;
  });
  return said.length < 2 ? (said[0] ?? "nothing") : `${said.slice(0, -1).join(", ")} or ${said.at(-1)}`;
}

const MOST = 160;

/** The first line of an error, without the class in front of the method, cut if it is long. */
export function brief(error: string | null): string {
  const line = (error ?? "no reason was given").split("\n", 1)[0] ?? "";
  return line.length > MOST ? `${line.slice(0, MOST - 1).trimEnd()}…` : line;
}
