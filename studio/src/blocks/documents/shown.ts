import type { FieldGroup, FieldsShown, Json, JsonObject, StoredDocument, Widget } from "@/api/types";
import { words } from "@/model/definition";

export interface Shown {
  name: string;
  title: string;
  description: string;
  /** The widget's type; "" if none was declared. */
  kind: string;
  options: JsonObject;
  value: Json;
}

export interface Layout {
  fields: readonly Shown[];
  groups: readonly { group: FieldGroup; fields: readonly Shown[] }[];
}

/** The displayed name of a document: the title of its type, or its name as a phrase. */
export function documentTitle({ title, name }: Pick<StoredDocument, "title" | "name">): string {
  return title ?? words(name);
}

/** The widgets of a document that fire transitions. */
export function widgetsOf(document: Pick<StoredDocument, "ui">): Widget[] {
  return document.ui.filter((one): one is Widget => one.type !== "fields");
}

/** How the fields of a document are shown, if its class declares that. Hidden and missing fields are left out. */
export function layoutOf({ ui, content }: Pick<StoredDocument, "ui" | "content">): Layout | null {
  const declared = ui.find((one): one is FieldsShown => one.type === "fields");
  if (!declared) return null;
  const known = new Set(declared.fields.map(({ name }) => name));
  // What an older or newer version of the class saved is shown too.
  const others = Object.keys(content).filter((name) => !known.has(name)).map((name): FieldsShown["fields"][number] => ({ name }));
  const all = [...declared.fields, ...others].flatMap((field) => shownOf(field, content));
  const grouped = new Set(declared.groups.flatMap(({ fields }) => fields));
  return {
    fields: all.filter(({ name }) => !grouped.has(name)),
    groups: declared.groups
      .map((group) => ({ group, fields: group.fields.flatMap((name) => all.filter((one) => one.name === name)) }))
      .filter(({ fields }) => fields.length > 0),
  };
}

function shownOf({ name, title, description, widget }: FieldsShown["fields"][number], content: JsonObject): Shown[] {
  const value = content[name];
  const { type, ...options } = widget ?? {};
  if (value === undefined || type === "hidden") return [];
  return [{ name, title: title ?? words(name), description: description ?? "", kind: typeof type === "string" ? type : "", options, value }];
}

/** One value as a line of text: choices by their labels, booleans as words; null if it isn't one line. */
export function lineOf({ value, options }: Pick<Shown, "value" | "options">): string | null {
  const labels = options.labels;
  const label = typeof labels === "object" && labels !== null && !Array.isArray(labels) ? labels[typeof value === "string" ? value : JSON.stringify(value)] : undefined;
  if (typeof label === "string") return label;
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (value === null) return "–";
  if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" || typeof one === "number")) {
    return value.map((one) => lineOf({ value: one, options }) ?? "").join(", ");
  }
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}
