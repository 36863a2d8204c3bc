import type { FailureGroup, RunFilter } from "@/api/types";

/** What differs between errors of one group: numbers, and what stands in quotes. */
const DIFFERS = /0x[0-9a-f]+|\d+|'[^']{1,80}'|"[^"]{1,80}"/g;
const LEAST = 4;

/** The filter that finds the runs of a group: by the longest part of the error that is the same in all of them. */
export function filterOf({ app_name, workflow_name, error }: Pick<FailureGroup, "app_name" | "workflow_name" | "error">): RunFilter {
  const filter: RunFilter = { status: ["failed"], app_name, workflow: workflow_name };
  const same = error.split(DIFFERS).map((part) => part.trim());
  const longest = same.reduce((best, part) => (part.length > best.length ? part : best), "");
  return longest.length < LEAST || error === "no error was stored" ? filter : { ...filter, q: longest };
}
