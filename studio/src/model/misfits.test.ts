import { expect, it } from "vitest";
import type { Misfit } from "@/api/types";
import { together } from "./misfits";

const LOAN: Misfit = { app_name: "shop", workflow: "loan", workflow_version: 1, place: "review", runs: 2, reason: "no place: bring it back", example: "a" };

it("adds up what the pages of a check say of the same", () => {
  const other = { ...LOAN, reason: "no transition: bring it back", runs: 4, example: "c" };
  expect(together([{ items: [LOAN, { ...LOAN, app_name: "lab", runs: 1 }] }, { items: [{ ...LOAN, runs: 3, example: "b" }, other] }])).toEqual([
    { ...LOAN, runs: 5 },
    other,
    { ...LOAN, app_name: "lab", runs: 1 },
  ]);
  expect(together([])).toEqual([]);
});
