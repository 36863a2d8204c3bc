// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { turnShortcuts, useShortcutList, useShortcuts } from "./shortcuts";

function Page({ run }: { run: () => void }) {
  useShortcuts([{ key: "j", label: "Next", run }, { key: "Enter", label: "Open", run }]);
  return (
    <>
      <input aria-label="Field" />
      <button type="button">Press</button>
      <ul>{useShortcutList().map((one) => <li key={one.key}>{one.label}</li>)}</ul>
    </>
  );
}

afterEach(() => { turnShortcuts(true); });

it("acts on its key, and is listed while its page is there", () => {
  const run = vi.fn();
  const { unmount } = render(<Page run={run} />);
  fireEvent.keyDown(document.body, { key: "j" });
  expect(run).toHaveBeenCalledTimes(1);
  expect(screen.getByText("Next")).toBeDefined();
  unmount();
  fireEvent.keyDown(document.body, { key: "j" });
  expect(run).toHaveBeenCalledTimes(1);
});

it("leaves to others what is theirs", () => {
  const run = vi.fn();
  render(<Page run={run} />);
  fireEvent.keyDown(screen.getByLabelText("Field"), { key: "j" });
  fireEvent.keyDown(screen.getByText("Press"), { key: "Enter" });
  fireEvent.keyDown(document.body, { key: "j", ctrlKey: true });
  expect(run).not.toHaveBeenCalled();
  fireEvent.keyDown(screen.getByText("Press"), { key: "j" });
  expect(run).toHaveBeenCalledTimes(1);
});

it("can be turned off", () => {
  const run = vi.fn();
  turnShortcuts(false);
  render(<Page run={run} />);
  fireEvent.keyDown(document.body, { key: "j" });
  expect(run).not.toHaveBeenCalled();
});
