import { expect, test } from "vitest";
import type { ButtonWidget, FieldsShown, StoredDocument } from "@/api/types";
import { documentTitle, layoutOf, lineOf, widgetsOf } from "./shown";

const FIELDS: FieldsShown = {
  type: "fields",
  fields: [{ name: "summary", title: "What came of it", widget: { type: "markdown" } }, { name: "total", description: "In all" }, { name: "source", widget: { type: "hidden" } }, { name: "gone" }],
  groups: [{ title: "Numbers", fields: ["total", "gone"] }, { title: "Nothing", fields: ["gone"] }],
};
const BUTTON: ButtonWidget = { type: "button", transition: "go", enabled_at: [], label: null, data: null, variant: "primary" };
const document: Pick<StoredDocument, "ui" | "content"> = { ui: [FIELDS, BUTTON], content: { total: 3, summary: "**x**", source: "s", newer_field: [1] } };

test("fields have their order, groups, titles and descriptions; what is hidden or absent isn't shown", () => {
  const layout = layoutOf(document);
  expect(layout?.fields.map(({ title, kind }) => [title, kind])).toEqual([["What came of it", "markdown"], ["Newer field", ""]]);
  expect(layout?.groups.map(({ group, fields }) => [group.title, fields.map(({ title, description }) => [title, description])])).toEqual([["Numbers", [["Total", "In all"]]]]);
});

test("a document whose class says nothing has no layout, and only its widgets fire", () => {
  expect(layoutOf({ ui: [BUTTON], content: { a: 1 } })).toBeNull();
  expect(widgetsOf(document)).toEqual([BUTTON]);
});

test("a document is called what its class says, and by its name in words where that says nothing", () => {
  expect(documentTitle({ name: "tax_receipt", title: "Your receipt" })).toBe("Your receipt");
  expect(documentTitle({ name: "tax_receipt", title: null })).toBe("Tax receipt");
});

test.each([
  ["late", "Came too late"],
  [["late", "x"], "Came too late, x"],
  [true, "Yes"],
  [null, "–"],
  [1.5, "1.5"],
  [{ a: 1 }, null],
  [[], null],
])("%j as a line", (value, line) => {
  expect(lineOf({ value, options: { labels: { late: "Came too late" } } })).toBe(line);
});
