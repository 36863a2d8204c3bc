import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keys } from "@/api/keys";
import { updateRun } from "@/api/mutations";
import { MOST_SUBJECT, changesOf, labelsOf } from "@/model/naming";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, Input, TextArea } from "@/ui/fields";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";
import { Refusal } from "./Refusal";

/** Edits what people call the run, and its labels. Only what was changed is sent. */
export function UpdateDialog({ onClose }: { onClose: () => void }) {
  const { run, store } = useRunPage();
  const client = useQueryClient();
  const [subject, setSubject] = useState(run.subject ?? "");
  const [labels, setLabels] = useState(run.labels.join("\n"));
  const [before] = useState({ subject: run.subject, labels: run.labels });
  const changes = changesOf(before, { subject, labels: labelsOf(labels) });
  const update = useMutation({
    mutationFn: () => updateRun(run.workflow_id, changes ?? {}),
    onSuccess: async () => {
      onClose();
      toast({ title: "Saved", tone: "done" });
      await store.look();
      await client.invalidateQueries({ queryKey: keys.runs });
    },
  });
  const form = "update-run";
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Edit subject and labels"
      footer={
        <>
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" form={form} variant="primary" off={changes === null && "Nothing has been changed yet."} pending={update.isPending}>
            Save
          </Button>
        </>
      }
    >
      <form
        id={form}
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (changes !== null && !update.isPending) update.mutate();
        }}
      >
        <Field label="Subject" help="What the run is about, for people. Lists are searched by it. Empty: none.">
          {(props) => <Input {...props} maxLength={MOST_SUBJECT} value={subject} onChange={(event) => { setSubject(event.target.value); }} />}
        </Field>
        <Field label="Labels" help="One in each line.">
          {(props) => <TextArea {...props} rows={4} spellCheck={false} value={labels} onChange={(event) => { setLabels(event.target.value); }} />}
        </Field>
      </form>
      <Refusal error={update.error} title="The run couldn't be changed" />
    </Dialog>
  );
}
