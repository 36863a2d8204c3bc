import type { RegistryWidgetsType, WidgetProps } from "@rjsf/utils";
import { useState } from "react";
import { CodeEditor } from "../editor/CodeEditor";
import { Checkbox, Input, Select, Switch, TextArea } from "../fields";
import { JsonValue } from "../JsonTree";
import type { ZoneChoice } from "./zone";
import { durationWords } from "./duration";
import { isoOf, localZone, written } from "./zone";

/** Attributes of every input; the texts are in FieldTemplate. */
export function inputProps({ id, htmlName, name, disabled, readonly, required, rawErrors, onBlur, onFocus, value }: WidgetProps) {
  const faulty = Boolean(rawErrors?.length);
  return {
    id,
    name: htmlName ?? name,
    disabled: Boolean(disabled),
    "aria-required": required || undefined,
    "aria-invalid": faulty || undefined,
    "aria-readonly": readonly || undefined,
    "aria-describedby": `${faulty ? `${id}__error ` : ""}${id}__description`,
    onBlur: () => { onBlur(id, value); },
    onFocus: () => { onFocus(id, value); },
  };
}

const textOf = (value: unknown) => (value === undefined || value === null ? "" : String(value as string | number));

function line(type: string, extra: { inputMode?: "decimal" | "numeric"; placeholder?: string; autoComplete?: string } = {}) {
  return function LineWidget(props: WidgetProps) {
    const { value, onChange, readonly, placeholder, options } = props;
    const own = options.placeholder as string | undefined;
    return (
      <Input
        {...inputProps(props)}
        type={type}
        {...extra}
        readOnly={readonly}
        placeholder={own ?? (placeholder || extra.placeholder)}
        value={textOf(value)}
        onChange={(event) => { onChange(event.target.value); }}
      />
    );
  };
}

export const TextWidget = line("text", { autoComplete: "off" });

/** An empty input means absent: a number has no empty value. */
export function NumberWidget(props: WidgetProps) {
  const { schema, options, value, onChange, readonly, placeholder } = props;
  const whole = schema.type === "integer";
  return (
    <Input
      {...inputProps(props)}
      type="number"
      inputMode={whole ? "numeric" : "decimal"}
      step={(options.step as number | undefined) ?? schema.multipleOf ?? (whole ? 1 : "any")}
      min={(options.min as number | undefined) ?? schema.minimum}
      max={(options.max as number | undefined) ?? schema.maximum}
      readOnly={readonly}
      placeholder={(options.placeholder as string | undefined) ?? placeholder}
      value={textOf(value)}
      onChange={(event) => { onChange(event.target.value === "" ? undefined : event.target.value); }}
    />
  );
}

/** Digits as text: a Decimal keeps all of them. */
export function DecimalWidget(props: WidgetProps) {
  return (
    <Input
      {...inputProps(props)}
      type="text"
      inputMode="decimal"
      autoComplete="off"
      readOnly={props.readonly}
      value={textOf(props.value)}
      onChange={(event) => { props.onChange(event.target.value === "" ? undefined : event.target.value); }}
    />
  );
}

export function TextareaWidget(props: WidgetProps) {
  const { value, onChange, options, readonly, placeholder } = props;
  return (
    <TextArea
      {...inputProps(props)}
      rows={(options.rows as number | undefined) ?? 4}
      readOnly={readonly}
      placeholder={(options.placeholder as string | undefined) ?? placeholder}
      value={textOf(value)}
      onChange={(event) => { onChange(event.target.value); }}
    />
  );
}

function optionsOf({ options }: WidgetProps): { label: string; value: unknown }[] {
  const labels = (options.labels ?? {}) as Record<string, string>;
  const choices = options.choices as readonly unknown[] | undefined;
  const all = choices?.map((value) => ({ label: textOf(value), value })) ?? options.enumOptions ?? [];
  return all.map(({ label, value }) => ({ label: labels[String(value)] ?? label, value: value as unknown }));
}

export function SelectWidget(props: WidgetProps) {
  const { value, onChange, readonly, disabled, multiple, required, options } = props;
  if (multiple) return <ChoicesWidget {...props} />;
  const all = optionsOf(props);
  const chosen = all.findIndex((option) => option.value === value);
  return (
    <Select {...inputProps(props)} disabled={disabled || readonly} value={chosen} onChange={(event) => { onChange(all[Number(event.target.value)]?.value); }}>
      {(chosen < 0 || !required) && <option value={-1}>{(options.placeholder as string | undefined) ?? "Choose…"}</option>}
      {all.map((option, at) => (
        <option key={at} value={at}>
          {option.label}
        </option>
      ))}
    </Select>
  );
}

export function RadioWidget(props: WidgetProps) {
  const { id, value, onChange, readonly, disabled, label } = props;
  const all = optionsOf(props);
  const { onBlur, onFocus, id: _id, name, ...said } = inputProps(props);
  return (
    <div {...said} id={id} role="radiogroup" aria-label={label} tabIndex={-1} className="flex flex-wrap gap-x-4" onBlur={onBlur} onFocus={onFocus}>
      {all.map((option, at) => (
        <label key={at} className="inline-flex min-h-6 items-center gap-2">
          <input
            type="radio"
            name={`${name}-${id}`}
            className="size-4 accent-accent"
            checked={option.value === value}
            disabled={disabled || readonly}
            onChange={() => { onChange(option.value); }}
          />
          {option.label}
        </label>
      ))}
    </div>
  );
}

/** Several of the given values. */
function ChoicesWidget(props: WidgetProps) {
  const { id, value, onChange, readonly, disabled, label } = props;
  const chosen = Array.isArray(value) ? (value as unknown[]) : [];
  const all = optionsOf(props);
  return (
    <div id={id} role="group" aria-label={label} tabIndex={-1} aria-describedby={inputProps(props)["aria-describedby"]} className="flex flex-wrap gap-x-4">
      {all.map((option, at) => (
        <Checkbox
          key={at}
          label={option.label}
          checked={chosen.includes(option.value)}
          disabled={disabled || readonly}
          onChange={(event) => {
            // In the order of the options, whatever the order of the clicks.
            const on = event.target.checked;
            onChange(all.map((one) => one.value).filter((one) => (one === option.value ? on : chosen.includes(one))));
          }}
        />
      ))}
    </div>
  );
}

export function CheckboxWidget(props: WidgetProps) {
  const { value, onChange, readonly, disabled, label } = props;
  return (
    <Checkbox
      {...inputProps(props)}
      disabled={disabled || readonly}
      label={label}
      checked={value === true}
      onChange={(event) => { onChange(event.target.checked); }}
    />
  );
}

export function SwitchWidget(props: WidgetProps) {
  const { value, onChange, readonly, disabled, label } = props;
  return (
    <Switch
      {...inputProps(props)}
      disabled={disabled || readonly}
      label={label}
      checked={value === true}
      onChange={(event) => { onChange(event.target.checked); }}
    />
  );
}

export function SliderWidget(props: WidgetProps) {
  const { schema, options, value, onChange, readonly, disabled } = props;
  const min = (options.min as number | undefined) ?? schema.minimum ?? 0;
  const max = (options.max as number | undefined) ?? schema.maximum ?? 100;
  return (
    <div className="flex items-center gap-3">
      <input
        {...inputProps(props)}
        type="range"
        min={min}
        max={max}
        step={(options.step as number | undefined) ?? schema.multipleOf ?? (schema.type === "integer" ? 1 : "any")}
        disabled={disabled || readonly}
        className="min-h-6 min-w-0 grow accent-accent"
        value={typeof value === "number" ? value : min}
        onChange={(event) => { onChange(event.target.valueAsNumber); }}
      />
      <output htmlFor={props.id} className="min-w-12 text-right">
        {value === undefined ? "not set" : textOf(value)}
      </output>
    </div>
  );
}

function emptyIsAbsent(type: "date" | "time") {
  return function DayWidget(props: WidgetProps) {
    return (
      <Input
        {...inputProps(props)}
        type={type}
        {...(type === "time" ? { step: 1 } : {})}
        readOnly={props.readonly}
        className="max-w-56"
        value={textOf(props.value)}
        onChange={(event) => { props.onChange(event.target.value || undefined); }}
      />
    );
  };
}

export const DateWidget = emptyIsAbsent("date");

/** A wall time and its zone: without a zone it isn't a moment. */
export function DateTimeWidget(props: WidgetProps) {
  const { id, value, onChange, readonly, disabled, label } = props;
  const [prefer, setPrefer] = useState<ZoneChoice>("local");
  const [wall, setWall] = useState<string | null>(null);
  const now = written(value as string | undefined, prefer);
  const zone = value === undefined ? prefer : now.zone;
  const set = (next: string, chosen: ZoneChoice) => {
    setWall(next);
    setPrefer(chosen);
    onChange(isoOf({ wall: next, zone: chosen }));
  };
  // While the user types, the input's own text stays: an incomplete date has no ISO text.
  const shown = wall !== null && isoOf({ wall, zone }) === value ? wall : now.wall;
  return (
    <div className="flex flex-wrap gap-2">
      <Input
        {...inputProps(props)}
        type="datetime-local"
        step={1}
        readOnly={readonly}
        className="max-w-60 grow basis-48"
        value={shown}
        onChange={(event) => { set(event.target.value, zone); }}
      />
      <Select
        aria-label={`Zone of ${label}`}
        id={`${id}__zone`}
        className="w-auto grow-0"
        disabled={disabled || readonly}
        value={zone}
        onChange={(event) => { set(shown, event.target.value as ZoneChoice); }}
      >
        <option value="local">{localZone()}</option>
        <option value="utc">UTC</option>
        <option value="none">without zone</option>
      </Select>
    </div>
  );
}

/** Exact text, in an editor. */
export function CodeWidget(props: WidgetProps) {
  const { id, label, value, onChange, options, required, disabled, readonly, placeholder } = props;
  const { "aria-describedby": describedBy, "aria-invalid": invalid, onBlur, onFocus } = inputProps(props);
  return (
    <CodeEditor
      id={id}
      label={label}
      language={options.language as string | undefined}
      rows={(options.rows as number | undefined) ?? 8}
      required={required}
      invalid={invalid}
      disabled={disabled}
      readOnly={readonly}
      placeholder={(options.placeholder as string | undefined) ?? placeholder}
      describedBy={describedBy}
      value={textOf(value)}
      onChange={onChange}
      onBlur={onBlur}
      onFocus={onFocus}
    />
  );
}

export function ReadOnlyWidget({ id, value }: WidgetProps) {
  return (
    <div id={id} tabIndex={-1} aria-describedby={`${id}__description`} className="wrap-anywhere whitespace-pre-wrap">
      {typeof value === "string" ? value : <JsonValue value={value} />}
    </div>
  );
}

/** An ISO 8601 duration, read back in words. */
export function DurationWidget(props: WidgetProps) {
  const { id, value, onChange, readonly } = props;
  const said = typeof value === "string" ? durationWords(value) : null;
  const { "aria-describedby": described, ...rest } = inputProps(props);
  return (
    <>
      <Input
        {...rest}
        type="text"
        autoComplete="off"
        placeholder="PT1H30M"
        className="max-w-56"
        readOnly={readonly}
        aria-describedby={`${id}__words ${described}`}
        value={textOf(value)}
        onChange={(event) => { onChange(event.target.value === "" ? undefined : event.target.value); }}
      />
      <p id={`${id}__words`} className="text-xs text-muted">
        {said ?? "A duration: PT1H30M is 1 hour 30 minutes, P2D is 2 days."}
      </p>
    </>
  );
}

const HiddenWidget = ({ id, value }: WidgetProps) => <input type="hidden" id={id} value={textOf(value)} />;

export const WIDGETS: RegistryWidgetsType = {
  TextWidget,
  TextareaWidget,
  SelectWidget,
  RadioWidget,
  CheckboxWidget,
  CheckboxesWidget: ChoicesWidget,
  RangeWidget: SliderWidget,
  UpDownWidget: NumberWidget,
  DateWidget,
  DateTimeWidget,
  TimeWidget: emptyIsAbsent("time"),
  PasswordWidget: line("password", { autoComplete: "new-password" }),
  EmailWidget: line("email"),
  URLWidget: line("url"),
  HiddenWidget,
  DurationWidget,
};
