import { SendHorizontal } from "lucide-react";
import { type KeyboardEvent, useId, useState } from "react";
import type { Run } from "@/api/types";
import { type Control, type Wait, labelOf, promptData, waitId } from "@/model/answer";
import { Button } from "@/ui/Button";
import { TextArea } from "@/ui/fields";
import { draftOf, keepDraft } from "./drafts";
import { useSend } from "./useSend";

export interface AskPromptProps {
  wait: Wait;
  control: Extract<Control, { kind: "prompt" }>;
  off: string | null;
  /** Whether the line has text. */
  onDirty?: (is: boolean) => void;
  onSent: (run: Run) => void;
}

/** A text line, as in a chat: Enter sends, Shift+Enter begins a new line. */
export function AskPrompt({ wait, control, off, onDirty, onSent }: AskPromptProps) {
  const { ask, widget } = control;
  const draftId = waitId({ ...wait, entered: 0 }, ask.transition); // what is being written outlives a turn of the chat
  const id = useId();
  const [text, setText] = useState(() => { const draft = draftOf(draftId); return typeof draft === "string" ? draft : ""; });
  const write = (next: string) => {
    setText(next);
    keepDraft(draftId, next);
    onDirty?.(next.trim() !== "");
  };
  const sending = useSend(wait, ask.transition, (run) => {
    write("");
    onSent(run);
  });
  const send = () => { if (text.trim() !== "" && !off && !sending.pending) sending.send(promptData(widget, text)); };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  const fault = sending.problem ?? sending.fields.map((one) => one.msg).join(" ");
  return (
    <div className="min-w-0 grow">
      <label htmlFor={id} className="sr-only">
        {labelOf(control)}
      </label>
      <div className="flex items-end gap-2">
        <TextArea
          id={id}
          rows={Math.min(6, Math.max(1, text.split("\n").length))}
          placeholder={widget.placeholder || labelOf(control)}
          value={text}
          readOnly={Boolean(off)}
          aria-describedby={`${id}-error`}
          aria-invalid={fault !== "" || undefined}
          className="min-h-8 resize-none"
          onChange={(event) => { write(event.target.value); }}
          onKeyDown={onKeyDown}
        />
        <Button variant="primary" icon={<SendHorizontal size={14} aria-hidden />} off={off ?? (text.trim() === "" && "Write something first")} pending={sending.pending} onClick={send}>
          Send
        </Button>
      </div>
      <p id={`${id}-error`} role="alert" className="text-xs text-failed empty:hidden">
        {fault}
      </p>
    </div>
  );
}
