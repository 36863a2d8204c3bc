import type { ErrorSchema, RJSFSchema } from "@rjsf/utils";
import { toErrorSchema } from "@rjsf/utils";
import type { KeyboardEvent, ReactNode, Ref } from "react";
import { useEffect, useImperativeHandle, useMemo, useRef, useState } from "react";
import { cn } from "../cn";
import { Button } from "../Button";
import { CodeEditor } from "../editor/CodeEditor";
import type { ServerFault } from "./faults";
import { placed } from "./faults";
import { initial as initialOf } from "./initial";
import { readJson, sameJson, writeJson } from "./json";
import { inOrder } from "./places";
import { prepare } from "./prepare";
import type { Schema } from "./schema";
import { Summary } from "./Summary";
import { ThemedForm } from "./theme";
import { asSent, faultsOf } from "./validate";
import { errorOf, validatorFor } from "./validator";

type View = "form" | "json";

export interface SchemaFormHandle {
  /** The value as it would be sent; it may be invalid. */
  value: () => unknown;
}

export interface SchemaFormProps {
  /** Prefix of all ids in it. Another id is another form: it begins anew. */
  id: string;
  schema: Schema;
  /** The initial value, read once per id; undefined: the schema's defaults. */
  initial?: unknown;
  onSubmit: (value: unknown) => void;
  onChange?: ((value: unknown) => void) | undefined;
  /** The server's faults (an ApiError's `fields`), and where the value was in the request. */
  errors?: readonly ServerFault[] | undefined;
  errorPrefix?: string;
  /** Why it can no longer be changed; what was typed stays. */
  locked?: string | null | undefined;
  /** Form and JSON side by side where there is room, instead of one after the other. */
  split?: boolean;
  /** The view that is shown first. */
  begin?: View;
  /** Gives access to the current value. */
  handle?: Ref<SchemaFormHandle> | undefined;
  /** Its buttons; one has type="submit". */
  children?: ReactNode;
}

/** A form made from a JSON schema, with JSON as its other view. */
export default function SchemaForm(props: SchemaFormProps) {
  return <FormOf key={props.id} {...props} />;
}

function FormOf({ id, schema, initial, onSubmit, onChange, errors = [], errorPrefix = "args", locked, split = false, begin = "form", handle, children }: SchemaFormProps) {
  const [given] = useState(schema);
  const shown = useMemo(() => ({ title: "Value", ...prepare(given) }), [given]);
  const validator = useMemo(() => validatorFor(given), [given]);
  const [value, setValue] = useState<unknown>(() => (initial === undefined ? initialOf(shown, shown) : initial));
  const [view, setView] = useState<View>(begin);
  // Its editor is loaded when it is first shown, and kept from then on with its undo history.
  const [seen, setSeen] = useState(split || begin === "json");
  const [typed, setTyped] = useState<string | null>(null);
  const [tried, setTried] = useState(false);
  // How often the JSON view has changed the value.
  const [edition, setEdition] = useState(0);
  const [outdated, setOutdated] = useState<readonly ServerFault[]>([]);
  const summary = useRef<HTMLDivElement>(null);
  const read = typed === null ? null : readJson(typed);
  const unreadable = read && !read.ok ? read.fault : null;
  // The server's errors refer to what was sent: the next change makes them obsolete.
  const server = errors === outdated ? [] : placed(errors, value, errorPrefix);
  const own = tried ? faultsOf(given, value) : [];
  const faults = inOrder([...own, ...server], shown);

  useEffect(() => {
    if (errors.length > 0) summary.current?.focus();
  }, [errors]);
  useImperativeHandle(handle, () => ({ value: () => asSent(value) }), [value]);
  const look = (next: View) => {
    setView(next);
    setSeen(seen || next === "json");
  };
  const change = (next: unknown, text: string | null) => {
    setTyped(text);
    setOutdated(errors);
    setValue(next);
    onChange?.(asSent(next));
  };
  const submit = () => {
    setTried(true);
    const found = faultsOf(given, value);
    if (unreadable !== null || found.length > 0) {
      requestAnimationFrame(() => summary.current?.focus());
      return;
    }
    onSubmit(asSent(value));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey) || locked) return;
    event.preventDefault();
    submit();
  };
  return (
    <div onKeyDown={onKeyDown} className="flex min-w-0 flex-col gap-4">
      {(faults.length > 0 || (tried && unreadable)) && <Summary box={summary} id={id} faults={faults} schema={shown} unreadable={unreadable} onPick={() => { setView("form"); }} />}
      {locked && <p role="status" className="rounded-sm border px-3 py-2 text-muted">{locked}</p>}
      <ViewSwitch view={view} onChange={look} split={split} />
      <div className={cn(split && "grid gap-6 lg:grid-cols-[minmax(0,1fr)_minmax(0,24rem)]")}>
        <div className={cn(view === "json" && (split ? "hidden lg:block" : "hidden"))}>
          {unreadable && <Unreadable onDrop={() => { setTyped(null); }} onShow={() => { look("json"); }} />}
          <ThemedForm
            id={`${id}-form`}
            idPrefix={id}
            schema={shown as RJSFSchema}
            validator={validator}
            formData={value}
            formContext={{ edition }}
            disabled={Boolean(locked)}
            extraErrors={toErrorSchema(faults.map(errorOf)) as ErrorSchema}
            experimental_defaultFormStateBehavior={NO_DEFAULTS}
            noValidate
            noHtml5Validate
            showErrorList={false}
            onChange={({ formData }) => { if (!sameJson(formData, value)) change(formData, null); }}
            onSubmit={submit}
          >
            {/* Invisible, but needed for the browser to submit on Enter. */}
            <button type="submit" hidden />
          </ThemedForm>
        </div>
        <div className={cn(split && "lg:sticky lg:top-16 lg:self-start", view === "form" && (split ? "hidden lg:block" : "hidden"))}>
          <label htmlFor={`${id}-json`} className="font-medium" onClick={() => document.getElementById(`${id}-json`)?.focus()}>
            JSON
          </label>
          {seen && (
            <CodeEditor
              id={`${id}-json`}
              label="JSON"
              language="json"
              rows={split ? 16 : 8}
              className="mt-1"
              readOnly={Boolean(locked)}
              fault={read && !read.ok ? read.at : null}
              invalid={unreadable !== null}
              describedBy={`${id}-json-fault`}
              value={typed ?? writeJson(value)}
              onChange={(text) => {
                const next = readJson(text);
                if (!next.ok) {
                  setTyped(text);
                  return;
                }
                change(next.value, text);
                setEdition(edition + 1);
              }}
            />
          )}
          <p id={`${id}-json-fault`} className="text-xs text-failed empty:hidden">
            {unreadable}
          </p>
        </div>
      </div>
      {/* Submit buttons refer to the form above, which ends before them. */}
      <div className="flex flex-wrap items-center gap-2" onClick={(event) => { if (isSubmit(event.target)) submit(); }}>
        {children}
      </div>
    </div>
  );
}

const NO_DEFAULTS = { emptyObjectFields: "skipDefaults", constAsDefaults: "never", requiredBooleanDefault: "skip", arrayMinItems: { populate: "never" } } as const;

function isSubmit(target: EventTarget): boolean {
  const button = (target as Element).closest("button");
  return button?.type === "submit";
}

function ViewSwitch({ view, onChange, split }: { view: View; onChange: (view: View) => void; split: boolean }) {
  return (
    <div role="group" aria-label="View of the form" className={cn("flex gap-1 self-end", split && "lg:hidden")}>
      {(["form", "json"] as const).map((one) => (
        <Button key={one} size="sm" variant={view === one ? "secondary" : "ghost"} aria-pressed={view === one} onClick={() => { onChange(one); }}>
          {one === "form" ? "Form" : "JSON"}
        </Button>
      ))}
    </div>
  );
}

function Unreadable({ onDrop, onShow }: { onDrop: () => void; onShow: () => void }) {
  return (
    <div className="mb-3 flex flex-wrap items-center gap-2 rounded-sm border border-backoff px-3 py-2">
      <span className="grow">The JSON view contains text that can't be read. The form shows the value from before it.</span>
      <Button size="sm" onClick={onShow}>
        Show it
      </Button>
      <Button size="sm" onClick={onDrop}>
        Drop it
      </Button>
    </div>
  );
}
