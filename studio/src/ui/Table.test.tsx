// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/react";
import { useState } from "react";
import { expect, it } from "vitest";
import { type Column, DataTable } from "./Table";

interface Row {
  id: string;
}

function Opens({ by }: { by: string }) {
  const [open, setOpen] = useState(false);
  return <button type="button" aria-expanded={open} onClick={() => { setOpen(true); }}>{by}</button>;
}

const columns = (by: string): readonly Column<Row>[] => [{ id: "one", header: "One", cell: () => <Opens by={by} /> }];
const table = (by: string) => <DataTable label="Rows" columns={columns(by)} rows={[{ id: "a" }]} rowId={(row) => row.id} />;

it("keeps what is open in a cell when its columns are made anew", () => {
  const { rerender } = render(table("first"));
  fireEvent.click(screen.getByRole("button", { name: "first" }));
  rerender(table("second"));
  expect(screen.getByRole("button", { name: "second" }).getAttribute("aria-expanded")).toBe("true");
});
