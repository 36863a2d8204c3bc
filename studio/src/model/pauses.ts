/** Pauses in words, and which of them concern a workflow. */
import type { Paused } from "../api/types";

/** Whether runs of this workflow wait because of the pause: what it doesn't name, it covers whole. */
export function covers(pause: Paused, app: string, workflow: string): boolean {
  return (pause.app_name === null || pause.app_name === app) && (pause.workflow === null || pause.workflow === workflow);
}

export const isCovered = (pauses: readonly Paused[], app: string, workflow: string) => pauses.some((one) => covers(one, app, workflow));

/** "The app shop", "The workflow charge_card of shop", "Everything". */
export function pausedText({ app_name, workflow }: Paused): string {
  if (workflow === null) return app_name === null ? "Everything" : `The app ${app_name}`;
  return `The workflow ${workflow}${app_name === null ? " of every app" : ` of ${app_name}`}`;
}

/** One text for one pause, however often it is listed. */
export const pauseKey = ({ app_name, workflow }: Paused) => `${app_name ?? ""}/${workflow ?? ""}`;
