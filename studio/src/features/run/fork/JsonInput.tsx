import { useId } from "react";
import type { Edited } from "@/model/fork";
import { CodeEditor } from "@/ui/editor/CodeEditor";

interface JsonInputProps {
  label: string;
  rows: number;
  text: string;
  edited: Edited;
  /** What the server says against the value. */
  faults: readonly string[];
  onChange: (text: string) => void;
}

/** A JSON value in an editor, with what is wrong with it below. */
export function JsonInput({ label, rows, text, edited, faults, onChange }: JsonInputProps) {
  const id = useId();
  const wrong = edited.kind === "unusable";
  return (
    <div className="mb-4 min-w-0">
      <label htmlFor={id} className="font-medium" onClick={() => document.getElementById(id)?.focus()}>
        {label}
      </label>
      <CodeEditor
        id={id}
        label={label}
        language="json"
        rows={rows}
        className="mt-1"
        value={text}
        fault={wrong ? edited.at : null}
        invalid={wrong || faults.length > 0}
        describedBy={`${id}-fault`}
        onChange={onChange}
      />
      <div id={`${id}-fault`} role="alert" className="mt-1 text-xs text-failed empty:hidden">
        {wrong ? <p>{edited.why}</p> : faults.map((fault) => <p key={fault} className="wrap-anywhere">{fault}</p>)}
      </div>
    </div>
  );
}
