import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { RotateCcw } from "lucide-react";
import { useState } from "react";
import { keys } from "@/api/keys";
import { cancelBatch, retryBatch } from "@/api/mutations";
import { meQuery } from "@/api/queries";
import type { Batch } from "@/api/types";
import { counted } from "@/model/actions";
import { endedOf, openText } from "@/model/progress";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, TextArea } from "@/ui/fields";
import { toast, toastError } from "@/ui/Toast";

/** Retry what failed, and cancel what hasn't ended. Unavailable actions stay visible, with the reason. */
export function Actions({ batch }: { batch: Batch }) {
  const { batch_id: id, progress } = batch;
  const off = actOff(useQuery(meQuery()).data);
  const refresh = useRefresh(id);
  const [asking, setAsking] = useState(false);
  const retry = useMutation({
    mutationFn: () => retryBatch(id),
    onSuccess: ({ retried }) => { toast({ title: `${counted(retried, "run")} retried`, tone: "done" }); },
    onError: (error) => { toastError("The failed runs couldn't be retried", error); },
    onSettled: refresh,
  });
  const open = progress.total - endedOf(progress);
  return (
    <>
      <Button icon={<RotateCcw size={14} aria-hidden />} off={off ?? (progress.failed === 0 && "No run of it has failed.")} pending={retry.isPending} onClick={() => { retry.mutate(); }}>
        Retry failed
      </Button>
      <Button variant="danger" off={off ?? (open === 0 && "All its runs have ended: nothing is left to cancel.")} onClick={() => { setAsking(true); }}>
        Cancel…
      </Button>
      {asking && <CancelDialog batch={batch} refresh={refresh} onClose={() => { setAsking(false); }} />}
    </>
  );
}

function useRefresh(id: string) {
  const client = useQueryClient();
  return () => Promise.all([client.invalidateQueries({ queryKey: keys.batches }), client.invalidateQueries({ queryKey: keys.batchItems(id) })]);
}

function CancelDialog({ batch, refresh, onClose }: { batch: Batch; refresh: () => Promise<unknown>; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const cancel = useMutation({
    mutationFn: () => cancelBatch(batch.batch_id, reason.trim() || undefined),
    onSuccess: ({ canceled }) => {
      toast({ title: `${counted(canceled, "run")} cancelled`, tone: "done" });
      onClose();
    },
    onError: (error) => { toastError("The batch couldn't be cancelled", error); },
    onSettled: refresh,
  });
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Cancel this batch?"
      description={`${openText(batch.progress)} that haven't ended stop for good. What they have done so far isn't undone.`}
      footer={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button variant="danger" pending={cancel.isPending} onClick={() => { cancel.mutate(); }}>
            Cancel the batch
          </Button>
        </>
      }
    >
      <Field label="Reason" help="Stored with each run, and shown to those who view it.">
        {(props) => <TextArea {...props} rows={3} maxLength={10_000} value={reason} onChange={(event) => { setReason(event.target.value); }} />}
      </Field>
    </Dialog>
  );
}
