// @vitest-environment jsdom
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import SchemaForm from "./SchemaForm";
import type { Schema } from "./schema";

// jsdom has no layout, which an editor needs: the plain field stays, as it does where the editor can't be loaded.
vi.mock("../editor/codemirror", () => {
  throw new Error("not here");
});

const ORDER: Schema = {
  title: "OrderArgs",
  type: "object",
  properties: {
    item: { title: "Item", type: "string", minLength: 1, description: "What is ordered" },
    count: { title: "Count", type: "integer", default: 1, minimum: 1 },
    note: { title: "Note", anyOf: [{ type: "string" }, { type: "null" }], default: null },
    gift: { title: "Gift", type: "boolean" },
    address: { $ref: "#/$defs/Address" },
    tags: { title: "Tags", type: "array", items: { type: "string" }, default: [] },
    extra: { title: "Extra", type: "object", additionalProperties: { type: "integer" }, default: {} },
    pay: {
      title: "Pay",
      discriminator: { propertyName: "kind", mapping: { card: "#/$defs/Card", bill: "#/$defs/Bill" } },
      oneOf: [{ $ref: "#/$defs/Card" }, { $ref: "#/$defs/Bill" }],
    },
    whatever: { title: "Whatever" },
  },
  required: ["item", "gift", "address", "pay", "whatever"],
  $defs: {
    Address: { title: "Address", type: "object", properties: { street: { title: "Street", type: "string" } }, required: ["street"] },
    Card: { title: "Card", type: "object", properties: { kind: { const: "card", type: "string" }, number: { title: "Number", type: "string" } }, required: ["kind", "number"] },
    Bill: { title: "Bill", type: "object", properties: { kind: { const: "bill", type: "string" }, email: { title: "Email", type: "string" } }, required: ["kind", "email"] },
  },
};

function show(schema: Schema, extra: Partial<Parameters<typeof SchemaForm>[0]> = {}) {
  const onSubmit = vi.fn();
  const view = render(
    <SchemaForm id="f" schema={schema} onSubmit={onSubmit} {...extra}>
      <button type="submit">Send</button>
    </SchemaForm>,
  );
  return { onSubmit, user: userEvent.setup(), ...view };
}

test("a form is filled in, and what is left out stays absent", async () => {
  const { onSubmit, user } = show(ORDER);
  await user.type(screen.getByLabelText("Item"), "Book");
  await user.click(screen.getByRole("radio", { name: "Yes" }));
  await user.type(screen.getByLabelText("Street"), "Main St");
  await user.type(screen.getByLabelText("Number"), "42");
  await user.type(screen.getByLabelText("Whatever"), "[[1, 2]");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith({
    item: "Book",
    count: 1,
    gift: true,
    address: { street: "Main St" },
    tags: [],
    extra: {},
    pay: { kind: "card", number: "42" },
    whatever: [1, 2],
  });
});

test("an optional field is absent, then empty, then null, then absent again", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { note: { title: "Note", anyOf: [{ type: "string" }, { type: "null" }], default: null } } });
  const send = screen.getByRole("button", { name: "Send" });
  const last = () => onSubmit.mock.lastCall?.[0] as unknown;
  await user.click(send);
  expect(last()).toEqual({});
  await user.click(screen.getByRole("button", { name: "Add Note" }));
  expect(document.activeElement).toBe(screen.getByLabelText("Note"));
  await user.click(send);
  expect(last()).toEqual({ note: "" });
  await user.click(screen.getByRole("button", { name: "Set Note to null" }));
  await user.click(send);
  expect(last()).toEqual({ note: null });
  await user.click(screen.getByRole("button", { name: /Leave out ?Note/ }));
  await user.click(send);
  expect(last()).toEqual({});
});

test("another branch of a union keeps what both have in common and sends its own constant", async () => {
  const { onSubmit, user } = show({
    type: "object",
    properties: { pay: ORDER.properties && (ORDER.properties as Schema).pay },
    required: ["pay"],
    $defs: ORDER.$defs,
  });
  await user.selectOptions(screen.getByLabelText("Pay: kind"), "Bill");
  await user.type(screen.getByLabelText("Email"), "a@example.com");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith({ pay: { kind: "bill", email: "a@example.com" } });
});

test("lists grow, shrink and are reordered", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { tags: { title: "Tags", type: "array", items: { type: "string" } } }, required: ["tags"] });
  const add = screen.getByRole("button", { name: "Add to Tags" });
  await user.click(add);
  await user.click(add);
  const [first, second] = within(screen.getByRole("group", { name: "Tags" })).getAllByRole("textbox");
  await user.type(first as HTMLElement, "a");
  await user.type(second as HTMLElement, "b");
  await user.click(screen.getByRole("button", { name: "Move item 2 of 2 up" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenLastCalledWith({ tags: ["b", "a"] });
  await user.click(screen.getByRole("button", { name: "Remove item 1 of 2" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenLastCalledWith({ tags: ["a"] });
});

test("a list that is added has its first item at hand", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { tags: { title: "Tags", type: "array", items: { type: "string" } } } });
  await user.click(screen.getByRole("button", { name: "Add Tags" }));
  expect(document.activeElement?.tagName).toBe("INPUT");
  await user.keyboard("first");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenLastCalledWith({ tags: ["first"] });
});

test("items that are objects begin with their own defaults", async () => {
  const { onSubmit, user } = show({
    type: "object",
    properties: { rows: { title: "Rows", type: "array", items: { $ref: "#/$defs/Row" } } },
    required: ["rows"],
    $defs: { Row: { title: "Row", type: "object", properties: { count: { title: "Count", type: "integer", default: 7 }, kind: { const: "x" } }, required: ["kind"] } },
  });
  await user.click(screen.getByRole("button", { name: "Add to Rows" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenLastCalledWith({ rows: [{ count: 7, kind: "x" }] });
});

test("what is wrong stands above and at its field, and nothing is sent", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { item: { title: "Item", type: "string", minLength: 3 } }, required: ["item"] });
  await user.type(screen.getByLabelText("Item"), "ab");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).not.toHaveBeenCalled();
  expect(screen.getByRole("alert").textContent).toContain("Write at least 3 characters.");
  expect(screen.getByLabelText("Item").getAttribute("aria-invalid")).toBe("true");
  await waitFor(() => { expect(document.activeElement).toBe(screen.getByRole("alert")); });
  await user.type(screen.getByLabelText("Item"), "c");
  expect(screen.queryByRole("alert")).toBeNull();
});

test("the server's faults stand at their fields until something is changed", async () => {
  const errors = [{ loc: ["body", "args", "item"], msg: "No such item" }];
  const { user, rerender } = show({ type: "object", properties: { item: { title: "Item", type: "string" } }, required: ["item"] }, { initial: { item: "x" } });
  rerender(
    <SchemaForm id="f" schema={{}} onSubmit={() => {}} errors={errors}>
      <button type="submit">Send</button>
    </SchemaForm>,
  );
  expect(screen.getAllByText(/No such item/)).toHaveLength(2);
  expect(document.activeElement).toBe(screen.getByRole("alert"));
  await user.type(screen.getByLabelText("Item"), "y");
  expect(screen.queryByText(/No such item/)).toBeNull();
});

test("the two views show the same, and a text that isn't JSON yet destroys nothing", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { item: { title: "Item", type: "string" } }, required: ["item"] }, { initial: { item: "x" } });
  await user.click(screen.getByRole("button", { name: "JSON" }));
  const json = screen.getByLabelText("JSON");
  await user.clear(json);
  await user.type(json, '{{"item": "from JSON"}');
  await user.click(screen.getByRole("button", { name: "Form" }));
  expect(screen.getByLabelText<HTMLInputElement>("Item").value).toBe("from JSON");
  await user.click(screen.getByRole("button", { name: "JSON" }));
  await user.type(json, "oops");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).not.toHaveBeenCalled();
  await user.click(screen.getByRole("button", { name: "Form" }));
  expect(screen.getByLabelText<HTMLInputElement>("Item").value).toBe("from JSON");
  await user.click(screen.getByRole("button", { name: "Drop it" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith({ item: "from JSON" });
});

test("a payload that isn't an object has one field", async () => {
  const { onSubmit, user } = show({ type: "boolean" });
  await user.click(screen.getByRole("radio", { name: "No" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith(false);
});

test("a dict's entries are added, named and removed", async () => {
  const { onSubmit, user } = show({ type: "object", properties: { extra: { title: "Extra", type: "object", additionalProperties: { type: "integer" } } }, required: ["extra"] });
  await user.click(screen.getByRole("button", { name: "Add an entry to Extra" }));
  const key = screen.getByLabelText("Key");
  await user.clear(key);
  await user.type(key, "weight");
  await user.tab();
  const value = screen.getByRole("spinbutton");
  await user.clear(value);
  await user.type(value, "12");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith({ extra: { weight: 12 } });
});

test("declared widgets, their order and their groups", () => {
  show({
    type: "object",
    properties: {
      a: { title: "A", type: "string", "x-widget": { type: "textarea", rows: 7 } },
      b: { title: "B", type: "integer", minimum: 0, maximum: 10, "x-widget": { type: "slider" } },
      c: { title: "C", type: "boolean", "x-widget": { type: "switch" } },
      d: { title: "D", enum: ["x", "y"], type: "string", "x-widget": { type: "radio", labels: { x: "Ex" } } },
      e: { title: "E", type: "string", "x-widget": { type: "hidden" }, default: "secret" },
      f: { title: "F", type: "string", "x-widget": { type: "read-only" }, default: "fixed" },
    },
    required: ["a", "b", "c", "d"],
    "x-order": ["d", "a"],
    "x-groups": [{ title: "More", fields: ["b", "c"], collapsed: true }],
  });
  expect(screen.getByLabelText("A").tagName).toBe("TEXTAREA");
  expect(screen.getByRole("slider", { hidden: true })).toBeTruthy();
  expect(screen.getByRole("switch", { hidden: true })).toBeTruthy();
  expect(screen.getByRole("radio", { name: "Ex" })).toBeTruthy();
  expect(screen.queryByLabelText("E")).toBeNull();
  expect(screen.getByText("fixed")).toBeTruthy();
  expect(screen.getByText("More").closest("details")?.open).toBe(false);
});

test("a locked form says why, keeps what was typed and sends nothing", () => {
  show({ type: "object", properties: { item: { title: "Item", type: "string" } }, required: ["item"] }, { initial: { item: "draft" }, locked: "Answered by bob" });
  expect(screen.getByText("Answered by bob")).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>("Item").value).toBe("draft");
  expect(screen.getByLabelText<HTMLInputElement>("Item").disabled).toBe(true);
});

test("a dict shows what it already holds", () => {
  const dict = (title: string, additionalProperties: unknown) => ({ title, type: "object", additionalProperties });
  const schema = { type: "object", properties: { sizes: dict("Sizes", { type: "integer" }), prices: dict("Prices", { anyOf: [{ type: "number" }, { type: "string" }] }), data: dict("Data", true) } };
  show(schema, { initial: { sizes: { weight: 12 }, prices: { x: "1.2" }, data: { k: [1, null] } } });
  expect(screen.getAllByLabelText<HTMLInputElement>("Key").map((key) => key.value)).toEqual(["weight", "x", "k"]);
});

test("a dict shows the entries that the JSON view got", async () => {
  const { user } = show({ type: "object", properties: { sizes: { title: "Sizes", type: "object", additionalProperties: { type: "integer" } } } });
  await user.click(screen.getByRole("button", { name: "JSON" }));
  await user.clear(screen.getByLabelText("JSON"));
  await user.click(screen.getByLabelText("JSON"));
  await user.paste('{"sizes": {"weight": 12}}');
  await user.click(screen.getByRole("button", { name: "Form" }));
  expect(screen.getByLabelText<HTMLInputElement>("Key").value).toBe("weight");
});

test("fields of one model are told apart by their own names", () => {
  const address = { $ref: "#/$defs/Address" };
  show({
    type: "object",
    properties: { billing: address, ship_to: address, second: { anyOf: [address, { type: "null" }] }, named: { ...address, title: "Where it is" } },
    required: ["billing", "ship_to", "named"],
    $defs: { Address: { title: "Address", type: "object", properties: { street: { title: "Street", type: "string" } } } },
  });
  for (const name of ["Billing", "Ship To", "Where it is"]) expect(screen.getByRole("group", { name })).toBeTruthy();
  expect(screen.getByRole("button", { name: "Add Second" })).toBeTruthy();
});

test("times without a zone are the server's to judge", async () => {
  const at = (format: string) => ({ type: "string", format });
  const value = { at: "10:11:12", when: "2026-05-06T07:08:09", takes: "PT90S" };
  const { onSubmit, user } = show({ type: "object", properties: { at: at("time"), when: at("date-time"), takes: at("duration") } }, { initial: value });
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(onSubmit).toHaveBeenCalledWith(value);
});
