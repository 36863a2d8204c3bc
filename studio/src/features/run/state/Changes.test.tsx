// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it } from "vitest";
import { diff } from "@/model/diff";
import { Changes } from "./Changes";

afterEach(cleanup);

const MEGABYTE = "lorem ipsum ".repeat(90_000);

describe("changes of very long texts", () => {
  it("show what changed, and all of it when asked", async () => {
    const { container } = render(<Changes changes={diff({ text: MEGABYTE }, { text: `${MEGABYTE}and more` })} />);
    expect(container.textContent.length).toBeLessThan(3_000);
    expect(container.querySelector("ins")?.textContent).toMatch(/and more/);
    await userEvent.click(screen.getByRole("button", { name: /^Show all 1,080,008 characters/ }));
    expect(container.textContent.length).toBeGreaterThan(1_000_000);
    await userEvent.click(screen.getByRole("button", { name: "Show less" }));
    expect(container.textContent.length).toBeLessThan(3_000);
  });

  it("show the beginning of what was added", () => {
    const { container } = render(<Changes changes={diff({}, { text: MEGABYTE, list: [MEGABYTE] })} />);
    expect(container.textContent.length).toBeLessThan(10_000);
    expect(screen.getAllByRole("button", { name: "Show all 1,080,000 characters" })).toHaveLength(2);
  });
});
