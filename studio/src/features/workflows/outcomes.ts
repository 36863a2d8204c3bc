import type { RecentRun, WorkflowSummary } from "@/api/types";
import { STATUS_NAMES, STATUSES } from "@/model/status";
import type { Millis } from "@/model/time";
import { duration, moment, relative } from "@/model/time";
import type { Outcome } from "@/ui/charts";

/** The bars of the last runs, oldest first. The longest one is as high as there is room. */
export function outcomesOf(recent: readonly RecentRun[], now: Millis): Outcome[] {
  const took = recent.map((run) => (run.finished_at === null ? null : moment(run.finished_at) - moment(run.created_at)));
  const longest = Math.max(1, ...took.map((one) => one ?? 0));
  return recent
    .map((run, at): Outcome => {
      const one = took[at] ?? null;
      const { word, token } = STATUSES[run.status];
      return {
        id: run.workflow_id,
        token,
        size: one === null ? null : one / longest,
        label: [word, one === null ? null : `took ${duration(one)}`, `started ${relative(moment(run.created_at), now)}`].filter(Boolean).join(", "),
      };
    })
    .reverse();
}

/** "Last 30 runs: 28 completed, 2 failed". */
export function outcomeWords(recent: readonly RecentRun[]): string {
  if (recent.length === 0) return "No runs yet";
  const said = STATUS_NAMES.map((status) => [recent.filter((run) => run.status === status).length, STATUSES[status].word.toLowerCase()] as const).filter(([count]) => count > 0);
  return `Last ${recent.length === 1 ? "run" : `${String(recent.length)} runs`}: ${said.map(([count, word]) => `${String(count)} ${word}`).join(", ")}`;
}

/** Of the runs that completed, how long half of them took at most; null if none did. */
export function median(recent: readonly RecentRun[]): Millis | null {
  const took = recent
    .filter((run) => run.status === "completed" && run.finished_at !== null)
    .map((run) => moment(run.finished_at as string) - moment(run.created_at))
    .sort((a, b) => a - b);
  return took[Math.floor((took.length - 1) / 2)] ?? null;
}

/** The workflows that match `q` and `app`; every word must be in the name, the title or the description. */
export function matching(workflows: readonly WorkflowSummary[], q: string | undefined, app: string | undefined): WorkflowSummary[] {
  const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return workflows.filter(
    (one) =>
      (app === undefined || one.app_name === app) &&
      words.every((word) => `${one.name} ${one.title} ${one.description} ${one.app_name}`.toLowerCase().includes(word)),
  );
}
