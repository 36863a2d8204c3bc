import type { FieldTemplateProps } from "@rjsf/utils";
import { ADDITIONAL_PROPERTY_FLAG, descriptionId } from "@rjsf/utils";
import { CircleSlash, Plus, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button, IconButton } from "../Button";
import { cn } from "../cn";
import { presenceOf } from "./absent";
import { DictEntry } from "./DictEntry";
import { begun } from "./initial";
import type { Schema } from "./schema";
import { branchesOf } from "./schema";
import { CheckboxWidget, RadioWidget, ReadOnlyWidget, SwitchWidget } from "./widgets";

/** One field: its label, what it holds, what is said about it; or, while it is absent, the button that adds it. */
export function FieldTemplate(props: FieldTemplateProps) {
  const { hidden, children, schema } = props;
  if (hidden) return <div hidden>{children}</div>;
  if (!(ADDITIONAL_PROPERTY_FLAG in schema)) return <Optional {...props} />;
  return (
    <DictEntry {...props}>
      <Present {...props} />
    </DictEntry>
  );
}

/** Array items and the root are always there; properties only if they are required or somebody added them. */
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
  const fixed = disabled || readonly;
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
      <div className={cn("absolute z-10 flex", isContainer(schema as Schema) && presence !== "null" ? "top-3.5 right-2" : "top-0 right-0")}>
        {nullable && presence !== "null" && !fixed && (
          <IconButton size="sm" label={`Set ${label} to null`} onClick={() => { set(null, true); }}>
            <CircleSlash size={14} aria-hidden />
          </IconButton>
        )}
        {optional && !fixed && (
          <IconButton size="sm" label={`Leave ${label} out`} onClick={() => { set(undefined, false); }}>
            <X size={14} aria-hidden />
          </IconButton>
        )}
      </div>
      {presence === "null" ? (
        <div className="flex min-h-8 flex-wrap items-center gap-x-2 pr-14">
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

/** Focus goes to what took the place of the button that was pressed. */
function useFocus(box: React.RefObject<HTMLDivElement | null>) {
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (count > 0) box.current?.querySelector<HTMLElement>("input,select,textarea,button:not([aria-label])")?.focus();
  }, [count, box]);
  return () => { setCount((before) => before + 1); };
}

function Present(props: FieldTemplateProps) {
  const { id, label, schema, uiSchema, children, rawDescription, displayLabel } = props;
  const widget: unknown = uiSchema?.["ui:widget"];
  const own = uiSchema?.["ui:field"] !== undefined;
  // Objects, lists and unions say their titles themselves, as legends; check boxes and switches carry theirs.
  const container = !own && isContainer(schema as Schema);
  const boolean = !own && schema.type === "boolean";
  const ticked = boolean && (widget === undefined || widget === CheckboxWidget || widget === SwitchWidget);
  const labelled = (displayLabel || own || boolean) && !container && !ticked;
  const Label = widget === RadioWidget || widget === ReadOnlyWidget ? "span" : "label";
  return (
    <div className="flex min-w-0 flex-col gap-1">
      {labelled && (
        <Label {...(Label === "label" ? { htmlFor: id } : {})} className="pr-14 font-medium">
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

/** It has a frame of its own. */
function isContainer(schema: Schema): boolean {
  return schema.type === "object" || schema.type === "array" || branchesOf(schema) !== null;
}

function Errors({ id, rawErrors }: FieldTemplateProps) {
  return (
    <div id={`${id}__error`} className="text-xs text-failed empty:hidden">
      {rawErrors?.length ? rawErrors.map((error) => <p key={error}>{error}</p>) : null}
    </div>
  );
}
