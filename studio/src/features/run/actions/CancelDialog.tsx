import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { keys } from "@/api/keys";
import { cancelRun } from "@/api/mutations";
import { stepsQuery } from "@/api/queries";
import { cancelWords, lostSteps } from "@/model/cancelling";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, TextArea } from "@/ui/fields";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";
import { Refusal } from "./Refusal";

/** Cancels the run; of one that clears up first it says what is lost if nobody waits for that. */
export function CancelDialog({ onClose }: { onClose: () => void }) {
  const { run, children, store, definition } = useRunPage();
  const clears = run.canceling ? run.place : (definition?.on_cancel ?? null);
  const [reason, setReason] = useState("");
  const cancel = useMutation({
    mutationFn: (force: boolean) => cancelRun(run.workflow_id, reason.trim() || undefined, force),
    onSuccess: (after) => {
      onClose();
      toast({ title: after.status === "canceled" ? "The run was cancelled" : "The run clears up, and is cancelled then", tone: "done" });
      return store.look();
    },
    onError: () => store.look(),
  });
  const open = children.filter((child) => child.run.finished_at === null && child.on_parent_end === "cancel").length;
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={run.canceling ? "Cancel this run now?" : "Cancel this run?"}
      description={cancelWords({ canceling: run.canceling, clears, open })}
      footer={
        <>
          <Button onClick={onClose}>{run.canceling ? "Let it clear up" : "Keep it"}</Button>
          {clears && (
            <Button variant="danger" pending={cancel.isPending} onClick={() => { cancel.mutate(true); }}>
              Cancel now
            </Button>
          )}
          {!run.canceling && (
            <Button variant="danger" pending={cancel.isPending} onClick={() => { cancel.mutate(false); }}>
              Cancel the run
            </Button>
          )}
        </>
      }
    >
      {clears && <Lost place={clears} />}
      <Field label="Reason" help="Stored in the history.">
        {(props) => <TextArea {...props} rows={3} maxLength={10_000} value={reason} onChange={(event) => { setReason(event.target.value); }} />}
      </Field>
      <Refusal error={cancel.error} title="The run couldn't be cancelled" />
    </Dialog>
  );
}

/** What stays as it is after "Cancel now": the steps that nobody undoes then. */
function Lost({ place }: { place: string }) {
  const { run } = useRunPage();
  const steps = useQuery({ ...stepsQuery(run.workflow_id), queryKey: [...keys.run(run.workflow_id), "steps", "lost", run.version] });
  const lost = lostSteps(steps.data ?? []);
  return (
    <div className="mb-3">
      <p>
        <strong>Cancel now</strong> ends it at once: what “{place}” has not cleared up yet stays as it is, and nobody does it later.
      </p>
      {lost.length > 0 && (
        <>
          <p className="mt-2">These steps are not undone:</p>
          <ul aria-label="Steps that are not undone" className="list-disc pl-6">
            {lost.map((name) => (
              <li key={name}>
                <code className="wrap-anywhere">{name}</code>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}
