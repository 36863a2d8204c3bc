import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { keys } from "@/api/keys";
import { deleteRun } from "@/api/mutations";
import { Button } from "@/ui/Button";
import { shortId } from "@/ui/Copy";
import { Dialog } from "@/ui/Dialog";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";
import { Refusal } from "./Refusal";

/** Deletes a finished run, and leads to the list: its page is gone then. */
export function DeleteDialog({ onClose }: { onClose: () => void }) {
  const { run, children } = useRunPage();
  const client = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => deleteRun(run.workflow_id),
    onSuccess: async () => {
      toast({ title: `The run ${shortId(run.workflow_id)} was deleted`, tone: "done" });
      await navigate({ to: "/runs", replace: true });
      client.removeQueries({ queryKey: keys.run(run.workflow_id) });
      await client.invalidateQueries({ queryKey: keys.runs });
    },
  });
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Delete this run?"
      description="Its history, documents, steps and signals are deleted with it. This can't be taken back."
      footer={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button variant="danger" pending={remove.isPending} onClick={() => { remove.mutate(); }}>
            Delete the run
          </Button>
        </>
      }
    >
      <p>
        {children.length > 0 && "The runs that it started stay. "}
        Runs that were forked from it stay, with the documents that they share.
      </p>
      <Refusal error={remove.error} title="The run couldn't be deleted" />
    </Dialog>
  );
}
