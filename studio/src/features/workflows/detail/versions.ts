import type { Run } from "@/api/types";

/** The number of runs that began with each other version than `current`; the newest version first. */
export function otherVersions(runs: readonly Pick<Run, "workflow_version">[], current: number): { version: number; runs: number }[] {
  const counts = new Map<number, number>();
  for (const { workflow_version: version } of runs) if (version !== current) counts.set(version, (counts.get(version) ?? 0) + 1);
  return [...counts].map(([version, count]) => ({ version, runs: count })).sort((a, b) => b.version - a.version);
}
