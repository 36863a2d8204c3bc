import type { UIOptionsType, UiSchema } from "@rjsf/utils";
import { JsonField } from "./JsonField";
import { MarkdownWidget } from "./MarkdownWidget";
import { ReadOnlyField } from "./ReadOnlyField";
import type { Schema } from "./schema";
import { choicesOf, namesOf, resolved, schemaOf } from "./schema";
import { CheckboxWidget, CodeWidget, DateTimeWidget, DateWidget, DecimalWidget, DurationWidget, NumberWidget, RadioWidget, SelectWidget, SliderWidget, SwitchWidget, TextareaWidget, TextWidget } from "./widgets";

/** The widgets that can be declared in Python, by their names. */
const WIDGETS = {
  text: TextWidget,
  textarea: TextareaWidget,
  markdown: MarkdownWidget,
  number: NumberWidget,
  select: SelectWidget,
  radio: RadioWidget,
  checkbox: CheckboxWidget,
  switch: SwitchWidget,
  slider: SliderWidget,
  code: CodeWidget,
} as const;

/** The appearance that a schema node declares, in rjsf's terms. */
export function uiOf(node: Schema, required: boolean, root: Schema): UiSchema {
  return { ...orderOf(node), ...fieldOf(node, required, root) };
}

function orderOf(node: Schema): UiSchema {
  const known = Object.keys(schemaOf(node.properties));
  const order = namesOf(node["x-order"]).filter((name) => known.includes(name));
  return order.length > 0 ? { "ui:order": [...order, "*"] } : {};
}

function fieldOf(node: Schema, required: boolean, root: Schema): UiSchema {
  if (node["x-any"] === true) return { "ui:field": JsonField, "ui:fieldReplacesAnyOrOneOf": true };
  const { type, ...rest } = schemaOf(node["x-widget"]);
  const options = rest as UIOptionsType;
  if (type === "hidden") return { "ui:widget": "hidden" };
  if (type === "read-only") return { "ui:field": ReadOnlyField, "ui:fieldReplacesAnyOrOneOf": true };
  if (type === "date") return { "ui:widget": node.format === "date-time" ? DateTimeWidget : DateWidget, "ui:options": options };
  const widget = typeof type === "string" && Object.hasOwn(WIDGETS, type) ? WIDGETS[type as keyof typeof WIDGETS] : undefined;
  // rjsf tells a list's widget of the choices only where none may be taken twice.
  const choices = widget && node.type === "array" ? { choices: choicesOf(resolved(schemaOf(node.items), root)) } : {};
  if (widget) return { "ui:widget": widget, "ui:options": { ...options, ...choices } as UIOptionsType };
  return byType(node, required);
}

function byType(node: Schema, required: boolean): UiSchema {
  if (node.const !== undefined) return { "ui:widget": "hidden" };
  if (node["x-decimal"] === true) return { "ui:widget": DecimalWidget };
  if ((node.type === "number" || node.type === "integer") && !node.enum) return { "ui:widget": NumberWidget };
  // JSON in a text (Pydantic's Json), and not a value of its own.
  if (node.contentMediaType === "application/json") return { "ui:widget": CodeWidget, "ui:options": { language: "json", rows: 4 } };
  if (node.format === "duration") return { "ui:widget": DurationWidget };
  // An unticked box would look like a "no": a required boolean must be answered explicitly.
  if (node.type === "boolean" && required && node["x-default"] === undefined) return { "ui:widget": RadioWidget };
  return {};
}
