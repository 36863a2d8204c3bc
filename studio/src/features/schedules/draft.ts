import type { Me, NewSchedule, ScheduleChange, ScheduleDetail } from "@/api/types";

/** What the form of a schedule holds: texts as they are typed. */
export interface Draft {
  name: string;
  /** "app/workflow"; an app's name may not have a colon, but a slash: the last one separates. */
  workflow: string;
  user: string;
  args: string;
  kind: "cron" | "every" | "at";
  cron: string;
  timezone: string;
  every: Span;
  at: string;
  overlap: "skip" | "queue" | "allow";
  misfire: "latest" | "all" | "skip";
  catchUp: Span;
  jitter: Span;
  /** Of a new one: it fires nothing until it is resumed. */
  paused: boolean;
}

/** A time as it is typed: a number of units. */
export interface Span {
  count: string;
  unit: Unit;
}

export type Unit = keyof typeof SECONDS;
export const SECONDS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 };

export function draftOf(me: Pick<Me, "user_id">, schedule?: ScheduleDetail): Draft {
  return {
    name: schedule?.name ?? "",
    workflow: schedule ? `${schedule.app_name}/${schedule.workflow ?? ""}` : "",
    user: schedule?.user_id ?? me.user_id,
    args: schedule?.args == null ? "" : JSON.stringify(schedule.args, null, 2),
    kind: schedule?.every != null ? "every" : schedule?.at != null ? "at" : "cron",
    cron: schedule?.cron ?? "0 9 * * *",
    timezone: schedule?.timezone ?? "UTC",
    every: spanOf(schedule?.every ?? SECONDS.hours),
    at: schedule?.at ? localOf(new Date(schedule.at)) : "",
    overlap: (schedule?.overlap ?? "skip") as Draft["overlap"],
    misfire: (schedule?.misfire ?? "latest") as Draft["misfire"],
    catchUp: spanOf(schedule?.catch_up ?? SECONDS.days),
    jitter: spanOf(schedule?.jitter ?? 0),
    paused: schedule?.paused ?? false,
  };
}

/** In the largest unit of which it is a whole number. */
function spanOf(seconds: number): Span {
  const unit = (["days", "hours", "minutes"] as const).find((one) => seconds > 0 && seconds % SECONDS[one] === 0) ?? "seconds";
  return { count: String(seconds / SECONDS[unit]), unit };
}

const secondsOf = ({ count, unit }: Span) => Number(count) * SECONDS[unit];

/** Why it can't be sent; null if it can. The server says what else is wrong. */
export function faultOf(draft: Draft): string | null {
  if (draft.name.trim() === "") return "Give it a name.";
  if (draft.workflow === "") return "Choose a workflow.";
  if (draft.kind === "every" && !(secondsOf(draft.every) > 0)) return "Say how often.";
  if (draft.kind === "at" && Number.isNaN(new Date(draft.at).getTime())) return "Choose a time.";
  if (draft.misfire !== "skip" && !(draft.catchUp.count.trim() !== "" && secondsOf(draft.catchUp) >= 0)) return "Say how late a tick may be.";
  if (!(secondsOf(draft.jitter) >= 0)) return "The time to spread ticks over is a number, or empty.";
  try {
    if (draft.args.trim() !== "") JSON.parse(draft.args);
  } catch {
    return "The args aren't JSON.";
  }
  return null;
}

function ruleOf(draft: Draft): Pick<ScheduleChange, "cron" | "timezone" | "every" | "at"> {
  if (draft.kind === "cron") return { cron: draft.cron, timezone: draft.timezone || "UTC" };
  return draft.kind === "every" ? { every: secondsOf(draft.every) } : { at: new Date(draft.at).toISOString() };
}

const argsOf = (draft: Draft): unknown => (draft.args.trim() === "" ? null : JSON.parse(draft.args));

/** The app and the name of its workflow. */
export function partsOf({ workflow }: Pick<Draft, "workflow">): [app: string, name: string] {
  const slash = workflow.lastIndexOf("/");
  return [workflow.slice(0, slash), workflow.slice(slash + 1)];
}

/** What happens to ticks that come too early or too late. */
function ticksOf({ overlap, misfire, catchUp, jitter }: Draft) {
  return { overlap, misfire, jitter: secondsOf(jitter), ...(misfire === "skip" ? {} : { catch_up: secondsOf(catchUp) }) };
}

export function requestOf(draft: Draft, me: Pick<Me, "user_id">): NewSchedule {
  const [app, workflow] = partsOf(draft);
  return {
    name: draft.name,
    app_name: app,
    workflow,
    args: argsOf(draft),
    paused: draft.paused,
    ...ticksOf(draft),
    ...ruleOf(draft),
    ...(draft.user === me.user_id ? {} : { user_id: draft.user }),
  };
}

/** What has changed: a rule that is sent counts from now, so one that is as it was isn't. */
export function changeOf(draft: Draft, before: Draft): ScheduleChange {
  return {
    ...(draft.workflow === before.workflow ? {} : { workflow: partsOf(draft)[1] }),
    ...(draft.args === before.args ? {} : { args: argsOf(draft) }),
    ...(JSON.stringify(ruleOf(draft)) === JSON.stringify(ruleOf(before)) ? {} : ruleOf(draft)),
    ...differences(ticksOf(draft), ticksOf(before)),
  };
}

function differences<T extends object>(now: T, before: T): Partial<T> {
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => value !== before[name as keyof T])) as Partial<T>;
}

/** As an input of the type datetime-local takes it. */
function localOf(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${String(at.getFullYear())}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
