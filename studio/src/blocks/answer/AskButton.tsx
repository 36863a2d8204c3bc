import type { Json, Run } from "@/api/types";
import { type Control, type Wait, labelOf } from "@/model/answer";
import { Button } from "@/ui/Button";
import { useSend } from "./useSend";

export interface AskButtonProps {
  wait: Wait;
  control: Extract<Control, { kind: "button" }>;
  off: string | null;
  onSent: (run: Run) => void;
}

/** Sends the declared payload, or none, on a click. */
export function AskButton({ wait, control, off, onSent }: AskButtonProps) {
  const { ask, widget } = control;
  const sending = useSend(wait, ask.transition, onSent);
  const data: Json = widget?.data ?? null;
  const fault = sending.problem ?? sending.fields.map((one) => one.msg).join(" ");
  return (
    <span className="inline-flex max-w-full flex-col items-start gap-1">
      <Button variant={widget?.variant ?? "secondary"} off={off} pending={sending.pending} onClick={() => { sending.send(data); }}>
        {labelOf(control)}
      </Button>
      <span role="alert" className="max-w-prose text-xs wrap-anywhere text-failed empty:hidden">
        {fault}
      </span>
    </span>
  );
}
