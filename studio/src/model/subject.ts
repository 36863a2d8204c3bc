import type { Run } from "@/api/types";
import { words } from "./definition";

/** The name of a run for people: its subject, or its workflow in words. */
export function nameOf({ subject, workflow_name }: Pick<Run, "subject" | "workflow_name">): string {
  return subject ?? words(workflow_name);
}
