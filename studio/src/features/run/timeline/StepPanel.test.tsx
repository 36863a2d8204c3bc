// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, it, vi } from "vitest";
import type { Step } from "@/api/types";
import { stepKey } from "@/model/steps";
import { RunContext, type RunPageData } from "../data";
import { StepPanel, Unknown } from "./StepPanel";

afterEach(cleanup);

const STEP: Step = {
  name: "charge",
  transition: "pay",
  visit: 2,
  attempts: 3,
  status: "completed",
  value: { id: "p1" },
  error: null,
  undo: "refund",
  undone_at: null,
  started_at: "2026-11-25T12:00:00Z",
  finished_at: "2026-11-25T12:00:02Z",
  recorded_at: "2026-11-25T12:00:02Z",
};

function shown(step: Step, selected = true) {
  const setSearch = vi.fn();
  const data = { search: { step: selected ? stepKey(step) : undefined }, setSearch, definition: null } as unknown as RunPageData;
  const view = render(
    <RunContext value={data}>
      <Unknown steps={[step]} />
      <StepPanel steps={[step]} />
    </RunContext>,
  );
  return { ...view, setSearch };
}

it("shows the attempts, the duration and the value of a step", async () => {
  const { container } = shown(STEP);
  const panel = screen.getByRole("region", { name: "Step charge" });
  expect(panel.textContent).toMatch(/Completed.*TransitionPay.*Attempts3.*Took2\.?0? s.*Undorefund/);
  expect(panel.textContent).toMatch(/"p1"/);
  expect(screen.queryByText(/isn't known/)).toBeNull();
  const { violations } = await axe.run(container, { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
  expect(violations.map((one) => one.id)).toEqual([]);
});

it("says when a step was undone, and why one failed", () => {
  shown({ ...STEP, undone_at: "2026-11-25T12:01:00Z" });
  expect(screen.getByText("Undone", { selector: "dt" })).toBeTruthy();
  cleanup();
  shown({ ...STEP, status: "failed", value: null, error: "OSError: no answer" });
  expect(screen.getByText("OSError: no answer")).toBeTruthy();
  expect(screen.queryByText("Value")).toBeNull();
});

it("tells an unknown outcome without being asked", async () => {
  const step: Step = { ...STEP, status: "unknown", value: null, undo: null };
  const { setSearch } = shown(step, false);
  expect(screen.getByRole("list", { name: "Steps with an unknown outcome" }).textContent).toMatch(/Whether the step charge took effect isn't known/);
  await userEvent.click(screen.getByRole("button", { name: "Show the step charge" }));
  expect(setSearch).toHaveBeenCalledWith({ step: "step-2-pay-charge" });
});
