import type { FieldTemplateProps } from "@rjsf/utils";
import { ADDITIONAL_PROPERTY_FLAG, descriptionId } from "@rjsf/utils";
import { CircleSlash, Plus } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button, IconButton } from "../Button";
import { cn } from "../cn";
import { presenceOf } from "./absent";
import { DictEntry } from "./DictEntry";
import { begun } from "./initial";
import { ReadOnlyField } from "./ReadOnlyField";
import type { Schema } from "./schema";
import { branchesOf } from "./schema";
import { CheckboxWidget, RadioWidget, ReadOnlyWidget, SwitchWidget } from "./widgets";

/** One field: its label, its input and its messages; or, while it is absent, the button that adds it. */
export function FieldTemplate(props: FieldTemplateProps) {
  const { hidden, children, schema } = props;
  if (hidden) return <div hidden>{children}</div>;
  if (!(ADDITIONAL_PROPERTY_FLAG in schema)) return <Optional {...props} />;
  return (
    <DictEntry {...props}>
      <Present {...props} label={`Value of ${props.label}`} />
    </DictEntry>
  );
}

/** Array items and the root are always present; properties only if they are required or were added. */
function Optional(props: FieldTemplateProps) {
  const { fieldPathId, required, formData, onChange, schema, label, disabled, readonly, registry, id } = props;
  const last = fieldPathId.path.at(-1);
  const optional = !required && typeof last === "string";
  const nullable = schema["x-nullable" as keyof typeof schema] === true;
  const [opened, setOpened] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const focusNext = useFocus(box);
  const set = (value: unknown, open: boolean) => {
    setOpened(open);
    onChange(value, fieldPathId.path);
    focusNext();
  };
  const add = () => { set(begun(schema as Schema, registry.rootSchema as Schema), true); };
  const fixed = disabled || readonly || props.uiSchema?.["ui:field"] === ReadOnlyField;
  const framed = isFramed(props) && presenceOf(formData, { optional, nullable, opened }) !== "null";
  const presence = presenceOf(formData, { optional, nullable, opened });
  if (presence === "absent") {
    return (
      <div ref={box} className="flex flex-wrap items-center gap-x-2">
        <Button id={id} size="sm" variant="ghost" icon={<Plus size={14} aria-hidden />} off={fixed && "It can't be changed now"} onClick={add}>
          Add {label}
        </Button>
        <span className="text-xs text-muted">
          {props.rawDescription}
          <DefaultNote schema={schema as Schema} />
        </span>
      </div>
    );
  }
  return (
    <div ref={box} className="relative">
      {/* In a frame they stand on its upper line, as its legend does. */}
      <div className={cn("absolute -top-0.5 z-10 flex gap-1", framed ? "right-2 bg-surface px-1" : "right-0")}>
        {nullable && presence !== "null" && !fixed && (
          <IconButton size="sm" label={`Set ${label} to null`} onClick={() => { set(null, true); }}>
            <CircleSlash size={14} aria-hidden />
          </IconButton>
        )}
        {optional && !fixed && (
          <Button size="sm" variant="ghost" data-leave onClick={() => { set(undefined, false); }}>
            Leave out<span className="sr-only"> {label}</span>
          </Button>
        )}
      </div>
      {presence === "null" ? (
        <div className="flex min-h-8 flex-wrap items-center gap-x-2 pr-28">
          <span className="font-medium">{label}</span>
          <code className="rounded-sm bg-hover px-1">null</code>
          <Button id={id} size="sm" off={fixed && "It can't be changed now"} onClick={add}>
            Set a value
          </Button>
          <Errors {...props} />
        </div>
      ) : (
        <Present {...props} />
      )}
    </div>
  );
}

function DefaultNote({ schema }: { schema: Schema }) {
  const value = schema["x-default"];
  return value === undefined ? null : <> Default: {JSON.stringify(value)}</>;
}

/** Moves the focus to what replaced the pressed button. */
function useFocus(box: React.RefObject<HTMLDivElement | null>) {
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (count > 0) box.current?.querySelector<HTMLElement>("input,select,textarea,[role=textbox],button:not([aria-label],[data-leave])")?.focus();
  }, [count, box]);
  return () => { setCount((before) => before + 1); };
}

function Present(props: FieldTemplateProps) {
  const { id, label, schema, uiSchema, children, rawDescription, displayLabel, required, fieldPathId } = props;
  const widget: unknown = uiSchema?.["ui:widget"];
  const own = uiSchema?.["ui:field"] !== undefined;
  // Objects, lists and unions show their titles as legends, check boxes and switches as their labels.
  const container = isFramed(props);
  const boolean = !own && schema.type === "boolean";
  const ticked = boolean && (widget === undefined || widget === CheckboxWidget || widget === SwitchWidget);
  const labelled = (displayLabel || own || boolean) && !container && !ticked;
  const choices = schema.type === "array";
  const Label = widget === RadioWidget || widget === ReadOnlyWidget || choices ? "span" : "label";
  // The number in front of a list's item is its visible label.
  const entry = typeof fieldPathId.path.at(-1) === "number";
  return (
    <div className="flex min-w-0 flex-col gap-1">
      {labelled && (
        <Label
          {...(Label === "label" ? { htmlFor: id, onClick: () => { focusOn(id); } } : {})}
          className={cn("pr-36 font-medium", entry && "sr-only", required && fieldPathId.path.length > 0 && REQUIRED)}
        >
          {label}
        </Label>
      )}
      {children}
      {!container && (
        <div id={descriptionId(id)} className="text-xs wrap-anywhere text-muted empty:hidden">
          {rawDescription}
        </div>
      )}
      <Errors {...props} />
    </div>
  );
}

/** Visible only: inputs tell screen readers themselves that they are required. */
const REQUIRED = "after:ml-1.5 after:text-xs after:font-normal after:text-muted after:content-['required'_/_'']";

/** A label doesn't focus an editor by itself. */
function focusOn(id: string): void {
  document.getElementById(id)?.focus();
}

/** True if it has its own frame; a list of check boxes has none. */
function isFramed({ schema, uiSchema, displayLabel }: FieldTemplateProps): boolean {
  if (uiSchema?.["ui:field"] !== undefined) return false;
  if (schema.type === "array") return !displayLabel;
  return schema.type === "object" || branchesOf(schema as Schema) !== null;
}

function Errors({ id, rawErrors }: FieldTemplateProps) {
  return (
    <div id={`${id}__error`} className="text-xs text-failed empty:hidden">
      {rawErrors?.length ? rawErrors.map((error) => <p key={error}>{error}</p>) : null}
    </div>
  );
}
