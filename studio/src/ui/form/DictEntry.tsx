import type { FieldTemplateProps } from "@rjsf/utils";
import { X } from "lucide-react";
import type { FocusEvent, ReactNode } from "react";
import { useRef } from "react";
import { IconButton } from "../Button";
import { Input } from "../fields";

type DictEntryProps = Pick<FieldTemplateProps, "id" | "label" | "disabled" | "readonly" | "onKeyRenameBlur" | "onRemoveProperty"> & { children: ReactNode };

/** An entry of a dict: its key can be changed and the whole removed. */
export function DictEntry({ children, id, label, disabled, readonly, onKeyRenameBlur, onRemoveProperty }: DictEntryProps) {
  const box = useRef<HTMLDivElement>(null);
  const rename = (event: FocusEvent<HTMLInputElement>) => {
    const { value } = event.target;
    const at = event.relatedTarget instanceof Node ? inputsIn(box.current).findIndex((one) => one === event.relatedTarget) : -1;
    onKeyRenameBlur(event);
    if (at < 0 || value === label) return;
    // rjsf renders a renamed entry anew: the focus moves to where it was going.
    const entry = `${id.slice(0, id.length - label.length)}${value}`;
    requestAnimationFrame(() => inputsIn(document.querySelector(`[data-entry="${CSS.escape(entry)}"]`))[at]?.focus());
  };
  return (
    <div ref={box} data-entry={id} className="flex items-start gap-2">
      <div className="w-1/3 max-w-60 min-w-20 shrink-0">
        <label htmlFor={`${id}-key`} className="font-medium">
          Key
        </label>
        <Input key={label} id={`${id}-key`} data-dict-key defaultValue={label} readOnly={disabled || readonly} onBlur={rename} className="mt-1" />
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

function inputsIn(box: Element | null): HTMLElement[] {
  return [...(box?.querySelectorAll<HTMLElement>("input,select,textarea,[role=textbox],button") ?? [])];
}
