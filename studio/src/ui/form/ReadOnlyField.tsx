import type { FieldProps } from "@rjsf/utils";
import { JsonTree } from "../JsonTree";

/** A read-only value. */
export function ReadOnlyField({ fieldPathId, formData, title, name }: FieldProps) {
  const value: unknown = formData;
  if (typeof value === "object" && value !== null) return <JsonTree value={value} label={title ?? name} />;
  return (
    <output id={fieldPathId.$id} className="wrap-anywhere whitespace-pre-wrap">
      {value === undefined ? "–" : String(value as string | number | boolean | null)}
    </output>
  );
}
