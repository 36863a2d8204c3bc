import { useState } from "react";
import type { Ask, Widget } from "@/api/types";
import { AskButton } from "@/blocks/answer/AskButton";
import { AskForm } from "@/blocks/answer/AskForm";
import { AskPrompt } from "@/blocks/answer/AskPrompt";
import { controlsOf, waitId, waitOf, widgetOff } from "@/model/answer";
import { words } from "@/model/definition";
import { Button } from "@/ui/Button";
import { useRunPage } from "../data";

/** The widgets of a document that answer the run; those that can't be used now stay visible, with the reason. */
export function Widgets({ widgets }: { widgets: readonly Widget[] }) {
  return (
    <div className="mt-2 flex flex-col items-start gap-2">
      {widgets.map((widget, at) => (
        <One key={at} widget={widget} />
      ))}
    </div>
  );
}

function One({ widget }: { widget: Widget }) {
  const { run, asks } = useRunPage();
  const off = widgetOff(widget, asks, run);
  const ask = asks.find((one) => one.transition === widget.transition);
  if (off !== null || !ask) return <Button off={off ?? "This isn't asked at the moment."}>{widget.label ?? words(widget.transition)}</Button>;
  return <Usable widget={widget} ask={ask} />;
}

function Usable({ widget, ask }: { widget: Widget; ask: Ask }) {
  const { run, view, me, store } = useRunPage();
  const { rows } = view;
  const [open, setOpen] = useState(false);
  const [control] = controlsOf([ask], [widget], run.place).shown;
  const wait = waitOf(run, rows);
  const off = me?.role === "viewer" ? "You may view runs, but answering needs the role operator." : null;
  const props = { wait, off, onSent: () => void store.look() };
  if (!control) return null;
  if (control.kind === "button") return <AskButton {...props} control={control} />;
  if (control.kind === "prompt") return <AskPrompt {...props} control={control} />;
  if (!open) return <Button onClick={() => { setOpen(true); }}>{widget.label ?? words(widget.transition)}</Button>;
  return <AskForm key={waitId(wait, ask.transition)} {...props} control={control} lock={null} onDirty={() => undefined} />;
}
