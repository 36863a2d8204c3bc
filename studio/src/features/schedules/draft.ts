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
  count: string;
  unit: Unit;
  at: string;
  overlap: "skip" | "queue" | "allow";
}

export type Unit = keyof typeof SECONDS;
export const SECONDS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 };

export function draftOf(me: Pick<Me, "user_id">, schedule?: ScheduleDetail): Draft {
  const every = schedule?.every ?? 3600;
  const unit = (["days", "hours", "minutes"] as const).find((one) => every % SECONDS[one] === 0) ?? "seconds";
  return {
    name: schedule?.name ?? "",
    workflow: schedule ? `${schedule.app_name}/${schedule.workflow ?? ""}` : "",
    user: schedule?.user_id ?? me.user_id,
    args: schedule?.args == null ? "" : JSON.stringify(schedule.args, null, 2),
    kind: schedule?.every != null ? "every" : schedule?.at != null ? "at" : "cron",
    cron: schedule?.cron ?? "0 9 * * *",
    timezone: schedule?.timezone ?? "UTC",
    count: String(every / SECONDS[unit]),
    unit,
    at: schedule?.at ? localOf(new Date(schedule.at)) : "",
    overlap: (schedule?.overlap ?? "skip") as Draft["overlap"],
  };
}

/** Why it can't be sent; null if it can. The server says what else is wrong. */
export function faultOf(draft: Draft): string | null {
  if (draft.name.trim() === "") return "Give it a name.";
  if (draft.workflow === "") return "Choose a workflow.";
  if (draft.kind === "every" && !(Number(draft.count) > 0)) return "Say how often.";
  if (draft.kind === "at" && Number.isNaN(new Date(draft.at).getTime())) return "Choose a time.";
  try {
    if (draft.args.trim() !== "") JSON.parse(draft.args);
  } catch {
    return "The args aren't JSON.";
  }
  return null;
}

function ruleOf(draft: Draft): Pick<ScheduleChange, "cron" | "timezone" | "every" | "at"> {
  if (draft.kind === "cron") return { cron: draft.cron, timezone: draft.timezone || "UTC" };
  return draft.kind === "every" ? { every: Number(draft.count) * SECONDS[draft.unit] } : { at: new Date(draft.at).toISOString() };
}

const argsOf = (draft: Draft): unknown => (draft.args.trim() === "" ? null : JSON.parse(draft.args));

export function requestOf(draft: Draft, me: Pick<Me, "user_id">): NewSchedule {
  const slash = draft.workflow.lastIndexOf("/");
  return {
    name: draft.name,
    app_name: draft.workflow.slice(0, slash),
    workflow: draft.workflow.slice(slash + 1),
    args: argsOf(draft),
    overlap: draft.overlap,
    ...ruleOf(draft),
    ...(draft.user === me.user_id ? {} : { user_id: draft.user }),
  };
}

/** What has changed: a rule that is sent counts from now, so one that is as it was isn't. */
export function changeOf(draft: Draft, before: Draft): ScheduleChange {
  const same = JSON.stringify(ruleOf(draft)) === JSON.stringify(ruleOf(before));
  return {
    ...(same ? {} : ruleOf(draft)),
    ...(draft.args === before.args ? {} : { args: argsOf(draft) }),
    ...(draft.overlap === before.overlap ? {} : { overlap: draft.overlap }),
  };
}

/** As an input of the type datetime-local takes it. */
function localOf(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${String(at.getFullYear())}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
