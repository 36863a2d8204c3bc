// By their files: the package's index also imports the registry of its tests, and with it a validator that needs eval.
import getDefaultRegistry from "@rjsf/core/lib/getDefaultRegistry.js";
import withTheme from "@rjsf/core/lib/withTheme.js";
import type { FieldProps } from "@rjsf/utils";
import type { ComponentType } from "react";
import { useState } from "react";
import { Button } from "../Button";
import { uiOf } from "./declaredUi";
import { FieldTemplate } from "./FieldTemplate";
import { begun } from "./initial";
import { JsonField } from "./JsonField";
import type { Schema } from "./schema";
import { isSchema, resolved, schemaOf } from "./schema";
import { ArrayFieldItemTemplate, ArrayFieldTemplate, ObjectFieldTemplate } from "./templates";
import { UnionField } from "./UnionField";
import { WIDGETS } from "./widgets";

const FIELDS = getDefaultRegistry().fields;
const RjsfField = FIELDS.SchemaField as ComponentType<FieldProps>;
const RjsfObject = FIELDS.ObjectField as ComponentType<FieldProps>;
const RjsfList = FIELDS.ArrayField as ComponentType<FieldProps>;

/** A field whose appearance comes from its schema (`x-widget`, `x-order`), because the server sends nothing else. */
function SchemaField(props: FieldProps) {
  const { schema, registry, required, uiSchema, fieldPathId } = props;
  const node = resolved(schema as Schema, registry.rootSchema as Schema);
  // The root value and items of a list can't be omitted.
  const needed = required === true || typeof fieldPathId.path.at(-1) !== "string";
  const title = entryTitle(props.title, fieldPathId.path.at(-1));
  return <RjsfField {...props} {...(title === undefined ? {} : { title })} uiSchema={{ ...uiOf(node, needed, registry.rootSchema as Schema), ...uiSchema }} />;
}

/** rjsf calls the entries of a list "Tags-1". */
function entryTitle(title: string | undefined, step: string | number | undefined): string | undefined {
  if (title === undefined || typeof step !== "number") return title;
  const end = `-${String(step + 1)}`;
  return title.endsWith(end) ? `${title.slice(0, -end.length)}, entry ${String(step + 1)}` : title;
}

/** An object. rjsf remembers which entries a dict has, and overlooks those that the JSON view adds: then the dict begins anew. */
function ObjectField(props: FieldProps) {
  const { schema, registry, formData, onChange, fieldPathId } = props;
  const { edition } = registry.formContext as { edition: number };
  const [added, setAdded] = useState(0);
  const entries = schemaOf(schema.additionalProperties);
  const change: FieldProps["onChange"] = (next, path, ...rest) => {
    const key = path.length === fieldPathId.path.length ? addedKey(formData, next) : undefined;
    if (key === undefined) {
      onChange(next, path, ...rest);
      return;
    }
    // rjsf begins an entry with a text, whatever its type is.
    const { [key]: _given, ...others } = next as Record<string, unknown>;
    onChange({ ...others, [freeKey(others)]: begun(entries, registry.rootSchema as Schema) ?? null }, path, ...rest);
    setAdded(added + 1);
    requestAnimationFrame(() => { selectLastKey(fieldPathId.$id); });
  };
  return <RjsfObject key={schema.additionalProperties ? `${String(edition)} ${String(added)}` : 0} {...props} onChange={change} />;
}

/** The one key that `after` has more than `before`. */
function addedKey(before: unknown, after: unknown): string | undefined {
  const known = Object.keys(schemaOf(before));
  const more = Object.keys(schemaOf(after)).filter((key) => !known.includes(key));
  return more.length === 1 && Object.keys(schemaOf(after)).length === known.length + 1 ? more[0] : undefined;
}

function freeKey(taken: object): string {
  for (let count = 1; ; count += 1) {
    const key = count === 1 ? "key" : `key ${String(count)}`;
    if (!Object.hasOwn(taken, key)) return key;
  }
}

/** A new entry is named first: typing replaces its initial name. */
function selectLastKey(id: string): void {
  const keys = document.querySelectorAll<HTMLInputElement>(`[id^="${CSS.escape(id)}_"][data-dict-key]`);
  const last = keys[keys.length - 1];
  last?.focus();
  last?.select();
}

/** A list whose new items begin with their own defaults, of which rjsf isn't informed. */
function ArrayField(props: FieldProps) {
  const { schema, registry, formData, onChange, fieldPathId } = props;
  const change: FieldProps["onChange"] = (next, path, ...rest) => {
    const grown = path.length === fieldPathId.path.length && Array.isArray(next) && next.length > (Array.isArray(formData) ? formData.length : 0);
    const items = grown ? schemaOf(schema.items) : null;
    onChange(items ? (next as unknown[]).map((item) => (isEmpty(item) ? begun(items, registry.rootSchema as Schema) : item)) : next, path, ...rest);
  };
  return <RjsfList {...props} onChange={change} />;
}

/** As rjsf adds an item. */
const isEmpty = (item: unknown) => item === undefined || (isSchema(item) && Object.keys(item).length === 0);

/** rjsf with Studio's own components. */
export const ThemedForm = withTheme({
  widgets: WIDGETS,
  fields: {
    SchemaField,
    ObjectField,
    ArrayField,
    AnyOfField: UnionField,
    OneOfField: UnionField,
    // A value for which rjsf has no field is edited as JSON: every form can be completed.
    FallbackField: JsonField,
    NullField: () => null,
  },
  templates: {
    FieldTemplate,
    ObjectFieldTemplate,
    ArrayFieldTemplate,
    ArrayFieldItemTemplate,
    // SchemaForm shows the errors above the form.
    ErrorListTemplate: () => null,
    FieldErrorTemplate: () => null,
    DescriptionFieldTemplate: ({ description }) => <>{description}</>,
    CyclicSchemaExpandTemplate: ({ onExpand, name }) => (
      <Button size="sm" onClick={onExpand}>
        Fill in {name}
      </Button>
    ),
  },
});
