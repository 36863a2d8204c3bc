import { expect, test } from "vitest";
import { otherVersions } from "./versions";

test("runs of other versions are counted, the newest version first", () => {
  const runs = [3, 1, 2, 1, 3].map((workflow_version) => ({ workflow_version }));
  expect(otherVersions(runs, 3)).toEqual([
    { version: 2, runs: 1 },
    { version: 1, runs: 2 },
  ]);
  expect(otherVersions(runs.slice(0, 1), 3)).toEqual([]);
});
