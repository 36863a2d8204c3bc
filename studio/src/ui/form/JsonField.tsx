import type { FieldProps } from "@rjsf/utils";
import { useState } from "react";
import { CodeEditor } from "../editor/CodeEditor";
import { readJson, sameJson, writeJson } from "./json";

/** A value of any kind, as JSON. Invalid text stays as it was typed, and the value stays unchanged. */
export function JsonField({ title, name, schema, fieldPathId, formData, onChange, disabled, readonly, required, rawErrors }: FieldProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const read = typed === null ? null : readJson(typed);
  const own = typed !== null && read !== null && (!read.ok || sameJson(read.value, formData));
  const id = fieldPathId.$id;
  return (
    <>
      <CodeEditor
        id={id}
        label={(title ?? schema.title ?? name) || "Value"}
        language="json"
        rows={4}
        disabled={disabled}
        readOnly={readonly}
        required={required}
        fault={read && !read.ok && own ? read.at : null}
        invalid={Boolean(rawErrors?.length) || (read !== null && !read.ok)}
        describedBy={`${id}__json ${id}__error ${id}__description`}
        value={own ? typed : writeJson(formData)}
        onChange={(text) => {
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
