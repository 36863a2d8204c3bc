import type { Json, StartRun } from "@/api/types";

/** The options of a start besides its args, as the fields hold them. */
export interface Options {
  labels: string;
  when: "now" | "in" | "at";
  amount: string;
  unit: "seconds" | "minutes" | "hours" | "days";
  /** As `<input type="datetime-local">` has it, in the reader's zone. */
  at: string;
  key: string;
  priority: string;
  workspace: string;
  user: string;
}

export const NO_OPTIONS: Options = { labels: "", when: "now", amount: "10", unit: "minutes", at: "", key: "", priority: "", workspace: "", user: "" };

const SECONDS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 } as const;

export interface Start {
  request: StartRun;
  key: string | undefined;
}

export type Faults = Partial<Record<keyof Options, string>>;

/** The request of a start. `args` undefined: the workflow takes none. */
export function startOf(workflow: { app_name: string; name: string }, args: Json | undefined, options: Options): Start {
  const labels = labelsOf(options.labels);
  return {
    request: {
      app_name: workflow.app_name,
      workflow: workflow.name,
      ...(args === undefined ? {} : { args }),
      ...(labels.length > 0 ? { labels } : {}),
      ...whenOf(options),
      ...(options.priority.trim() === "" ? {} : { priority: Number(options.priority) }),
      ...(options.workspace.trim() === "" ? {} : { workspace_id: options.workspace.trim() }),
      ...(options.user.trim() === "" ? {} : { user_id: options.user.trim() }),
    },
    key: options.key.trim() || undefined,
  };
}

/** The errors in the options; empty: none. */
export function faultsOf(options: Options): Faults {
  const faults: Faults = {};
  if (options.when === "in" && !(Number(options.amount) >= 0 && options.amount.trim() !== "")) faults.amount = "Give how long, as a number.";
  if (options.when === "at" && Number.isNaN(Date.parse(options.at))) faults.at = "Give a date and a time.";
  if (options.priority.trim() !== "" && !Number.isInteger(Number(options.priority))) faults.priority = "A priority is a whole number.";
  return faults;
}

/** "team:north, urgent" */
export function labelsOf(text: string): string[] {
  return [...new Set(text.split(/[,\n]/).map((label) => label.trim()).filter(Boolean))];
}

function whenOf({ when, amount, unit, at }: Options): Pick<StartRun, "delay_seconds" | "at"> {
  if (when === "in") return { delay_seconds: Number(amount) * SECONDS[unit] };
  return when === "at" ? { at: new Date(at).toISOString() } : {};
}
