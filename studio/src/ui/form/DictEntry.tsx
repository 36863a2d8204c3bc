import type { FieldTemplateProps } from "@rjsf/utils";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { IconButton } from "../Button";
import { Input } from "../fields";

type DictEntryProps = Pick<FieldTemplateProps, "id" | "label" | "disabled" | "readonly" | "onKeyRenameBlur" | "onRemoveProperty"> & { children: ReactNode };

/** An entry of a dict: its key can be changed and the whole removed. */
export function DictEntry({ children, id, label, disabled, readonly, onKeyRenameBlur, onRemoveProperty }: DictEntryProps) {
  return (
    <div className="flex items-start gap-2">
      <div className="w-1/3 max-w-60 min-w-20 shrink-0">
        <label htmlFor={`${id}-key`} className="font-medium">
          Key
        </label>
        <Input key={label} id={`${id}-key`} defaultValue={label} readOnly={disabled || readonly} onBlur={onKeyRenameBlur} className="mt-1" />
      </div>
      <div className="min-w-0 grow">{children}</div>
      {!disabled && !readonly && (
        <IconButton size="sm" label={`Remove ${label}`} className="mt-7" onClick={onRemoveProperty}>
          <X size={14} aria-hidden />
        </IconButton>
      )}
    </div>
  );
}
