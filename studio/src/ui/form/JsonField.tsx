import type { FieldProps } from "@rjsf/utils";
import { useState } from "react";
import { TextArea } from "../fields";
import { readJson, sameJson, writeJson } from "./json";

/** A value of any kind, as JSON. What can't be read stays as it was typed, and the value stays what it was. */
export function JsonField({ fieldPathId, formData, onChange, disabled, readonly, required, rawErrors }: FieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const read = typed === null ? null : readJson(typed);
  const own = typed !== null && read !== null && (!read.ok || sameJson(read.value, formData));
  const id = fieldPathId.$id;
  return (
    <>
      <TextArea
        id={id}
        rows={4}
        spellCheck={false}
        className="font-mono text-xs"
        placeholder="JSON"
        disabled={disabled}
        readOnly={readonly}
        aria-required={required || undefined}
        aria-invalid={Boolean(rawErrors?.length) || (read !== null && !read.ok) || undefined}
        aria-describedby={`${id}__json ${id}__error ${id}__description`}
        value={own ? typed : writeJson(formData)}
        onChange={(event) => {
          const { value: text } = event.target;
          setTyped(text);
          const next = readJson(text);
          if (next.ok) onChange(next.value, fieldPathId.path);
        }}
      />
      <p id={`${id}__json`} className="text-xs text-failed empty:hidden">
        {read && !read.ok && own ? read.fault : null}
      </p>
    </>
  );
}
