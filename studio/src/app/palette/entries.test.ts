import { expect, test } from "vitest";
import type { Run, WorkflowSummary } from "@/api/types";
import type { PageLink } from "../pages";
import { entriesFor } from "./entries";

const known = {
  pages: [{ to: "/runs", name: "Runs" }, { to: "/workers", name: "Workers" }] as PageLink[],
  workflows: [{ app_name: "orders", name: "process_order", title: "Process order" }, { app_name: "hr", name: "hire", title: "Hire" }] as WorkflowSummary[],
  runs: [] as Run[],
  starts: true,
};
const names = (text: string, more: Partial<typeof known> = {}) => entriesFor(text, { ...known, ...more }).map((one) => one.name);

test("without a text it offers every workflow and page", () => {
  expect(names("")).toEqual(["Process order", "Start Process order", "Hire", "Start Hire", "Runs", "Workers"]);
});

test("all words must fit, in any place of a name", () => {
  expect(names("order proc")).toEqual(["Process order", "Start Process order", "Search all runs for “order proc”"]);
  expect(names("start hire")[0]).toBe("Start Hire");
});

test("who may not start is offered no start", () => {
  expect(names("", { starts: false })).toEqual(["Process order", "Hire", "Runs", "Workers"]);
});

test("an id is opened directly; what was found is offered before the search of all", () => {
  const id = "0193f9c2-7a51-7c3e-9d4b-2f6f5b8d0c11";
  expect(names(id)[0]).toBe(`Open run ${id}`);
  const run = { workflow_id: id, workflow_name: "hire", subject: null, status: "failed", place: "review" } as Run;
  expect(names(id, { runs: [run] })).toEqual([`hire ${id}`, `Search all runs for “${id}”`]);
});

test("a run with a subject goes by it; its id stays visible", () => {
  const run = { workflow_id: "0193f9c2", workflow_name: "hire", subject: "Grace Hopper", status: "failed", place: "review" } as Run;
  const found = entriesFor("grace", { ...known, runs: [run] })[0];
  expect(found).toMatchObject({ name: "Grace Hopper 0193f9c2", hint: "hire, Failed at review", go: { params: { workflowId: "0193f9c2" } } });
});
