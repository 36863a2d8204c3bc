import type { FieldProps, RJSFSchema } from "@rjsf/utils";
import type { ComponentType } from "react";
import { useState } from "react";
import { Select } from "../fields";
import type { Schema } from "./schema";
import { branchesOf, discriminatorOf, resolved } from "./schema";
import { branchName, branchOf, changedTo } from "./union";

/** One of several kinds of value: the choice stays while the value is incomplete and matches no branch yet. */
export function UnionField(props: FieldProps) {
  const { schema, registry, formData, onChange, fieldPathId, name, disabled, readonly, uiSchema } = props;
  const root = registry.rootSchema as Schema;
  const branches = branchesOf(schema as Schema) ?? [];
  const discriminator = discriminatorOf(schema as Schema);
  const found = branchOf(branches, formData, discriminator, root);
  const [chosen, setChosen] = useState<number | null>(null);
  const at = chosen !== null && chosen < branches.length && !saysOther(branches, formData, discriminator, root, chosen) ? chosen : found;
  const branch = branches[at];
  if (!branch) return null;
  const id = fieldPathId.$id;
  const title = (schema.title as string | undefined) ?? name;
  const choose = (next: number) => {
    const to = branches[next];
    if (!to) return;
    setChosen(next);
    onChange(changedTo(to, formData, root), fieldPathId.path);
  };
  const { title: _title, ...inner } = resolved(branch, root);
  const SchemaField = registry.fields.SchemaField as ComponentType<FieldProps>;
  const container = inner.type === "object" || inner.type === "array";
  return (
    <fieldset className="min-w-0 rounded-md border px-3 pt-1 pb-3">
      <legend className="px-1 font-medium">{title || "Value"}</legend>
      <Select
        id={`${id}__kind`}
        aria-label={`${title || "Value"}: kind`}
        className="mb-3 w-auto max-w-full"
        disabled={disabled || readonly}
        value={at}
        onChange={(event) => { choose(Number(event.target.value)); }}
      >
        {branches.map((one, index) => (
          <option key={index} value={index}>
            {branchName(one, index, root, discriminator)}
          </option>
        ))}
      </Select>
      <SchemaField
        // Another branch is another field: no inner state of the old one may remain.
        key={at}
        {...props}
        name={container ? name : ""}
        required
        schema={{ ...inner, title: container ? branchName(branch, at, root, discriminator) : "Value" } as RJSFSchema}
        uiSchema={discriminator ? { ...uiSchema, [discriminator]: { "ui:widget": "hidden" } } : uiSchema}
      />
    </fieldset>
  );
}

/** True if the value itself names another branch than the chosen one, because it was set from outside. */
function saysOther(branches: readonly Schema[], value: unknown, discriminator: string | null, root: Schema, chosen: number): boolean {
  if (discriminator === null || value === undefined) return false;
  return branchOf(branches, value, discriminator, root) !== chosen;
}
