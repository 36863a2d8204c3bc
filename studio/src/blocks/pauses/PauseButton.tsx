import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Pause as PauseIcon } from "lucide-react";
import { useState } from "react";
import { keys } from "@/api/keys";
import { pause } from "@/api/mutations";
import { meQuery } from "@/api/queries";
import type { Paused } from "@/api/types";
import { pauseKey, pausedText } from "@/model/pauses";
import { operateOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, Select, TextArea } from "@/ui/fields";
import { toast, toastError } from "@/ui/Toast";

/** Pauses one of `choices`, the first by default, after a confirmation. */
export function PauseButton({ choices }: { choices: readonly Paused[] }) {
  const off = operateOff(useQuery(meQuery()).data);
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button off={off} icon={<PauseIcon size={14} aria-hidden />} onClick={() => { setAsking(true); }}>
        Pause…
      </Button>
      {asking && <PauseDialog choices={choices} onClose={() => { setAsking(false); }} />}
    </>
  );
}

function PauseDialog({ choices, onClose }: { choices: readonly Paused[]; onClose: () => void }) {
  const client = useQueryClient();
  const [at, setAt] = useState(0);
  const [reason, setReason] = useState("");
  const chosen = choices[at];
  const said = chosen ? pausedText(chosen) : "";
  const put = useMutation({
    mutationFn: (what: Paused) => pause({ app_name: what.app_name, workflow: what.workflow }, reason.trim() || undefined),
    onSuccess: () => {
      toast({ title: `${said} is paused`, tone: "done" });
      onClose();
    },
    onError: (error) => { toastError(`${said} couldn't be paused`, error); },
    onSettled: () => client.invalidateQueries({ queryKey: keys.pauses }),
  });
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Pause?"
      description="No run of it begins or continues until it is resumed. Runs that are being executed go on to their next checkpoint; new starts, answers and ticks are stored."
      footer={
        <>
          <Button onClick={onClose}>Keep it running</Button>
          <Button variant="danger" pending={put.isPending} onClick={() => { if (chosen) put.mutate(chosen); }}>
            Pause
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <Field label="What">
          {(props) => (
            <Select {...props} value={String(at)} onChange={(event) => { setAt(Number(event.target.value)); }}>
              {choices.map((one, index) => (
                <option key={pauseKey(one)} value={String(index)}>
                  {pausedText(one)}
                </option>
              ))}
            </Select>
          )}
        </Field>
        <Field label="Reason" help="Shown to those whose runs wait because of it.">
          {(props) => <TextArea {...props} rows={2} maxLength={10_000} value={reason} onChange={(event) => { setReason(event.target.value); }} />}
        </Field>
      </div>
    </Dialog>
  );
}
