import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keys } from "@/api/keys";
import { assignQuestion } from "@/api/mutations";
import type { Me, Question } from "@/api/types";
import { askedOf } from "@/model/inbox";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, Input } from "@/ui/fields";
import { ErrorState } from "@/ui/States";
import { toast } from "@/ui/Toast";

/** Lets somebody else answer from now on: a user, a group, or both. */
export function AssignDialog({ question, me, onClose }: { question: Question; me: Me; onClose: () => void }) {
  const client = useQueryClient();
  const [assignee, setAssignee] = useState(question.assignee ?? "");
  const [group, setGroup] = useState(question.group ?? "");
  const to = { assignee: assignee.trim() || null, group: group.trim() || null };
  const assign = useMutation({
    mutationFn: () => assignQuestion(question.workflow_id, question.transition, { ...to, visit: question.visit }),
    onSuccess: (after) => {
      onClose();
      toast({ title: `It is asked of ${askedOf(after) ?? `the run's user ${after.user_id}`} now`, tone: "done" });
      return client.invalidateQueries({ queryKey: keys.inbox });
    },
  });
  const form = "assign-question";
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title="Assign this question"
      description="Only they may answer it from now on. Links that were made to it before end."
      footer={
        <>
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" form={form} variant="primary" off={to.assignee === null && to.group === null && "Name a user or a group."} pending={assign.isPending}>
            Assign
          </Button>
        </>
      }
    >
      <form
        id={form}
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if ((to.assignee !== null || to.group !== null) && !assign.isPending) assign.mutate();
        }}
      >
        <Field label="User">{(props) => <Input {...props} maxLength={256} value={assignee} onChange={(event) => { setAssignee(event.target.value); }} />}</Field>
        <Field label="Group" help="Each of its members may answer.">
          {(props) => <Input {...props} maxLength={256} value={group} onChange={(event) => { setGroup(event.target.value); }} />}
        </Field>
        {assignee !== me.user_id && (
          <Button className="self-start" onClick={() => { setAssignee(me.user_id); setGroup(""); }}>
            To me
          </Button>
        )}
      </form>
      {assign.error !== null && <ErrorState error={assign.error} title="It couldn't be assigned" />}
    </Dialog>
  );
}
