import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { LOOKS, endedAt, lookOf } from "@/model/status";
import { statusSentence } from "@/model/why";
import { StatusBadge } from "@/ui/Badge";
import { buttonClass } from "@/ui/Button";
import { CopyId } from "@/ui/Copy";
import { Dialog } from "@/ui/Dialog";
import { Facts } from "@/ui/Page";
import { AbsoluteTime, Duration } from "@/ui/Time";
import { useNow } from "@/ui/useNow";

/** A run beside the list, without leaving it. */
export function Peek({ run, answerable, onClose }: { run: Run; answerable: readonly string[] | undefined; onClose: () => void }) {
  const now = useNow();
  return (
    <Dialog
      sheet
      open
      onOpenChange={onClose}
      title={run.subject ?? run.workflow_name}
      description={statusSentence({ run, answerable }, now)}
      footer={
        <Link to="/runs/$workflowId" params={{ workflowId: run.workflow_id }} className={buttonClass("primary")}>
          Open the run
        </Link>
      }
    >
      <Facts
        facts={[
          ["Status", <StatusBadge key="status" {...LOOKS[lookOf(run, answerable)]} />],
          run.subject !== null && ["Workflow", run.workflow_name],
          ["Run", <CopyId key="id" id={run.workflow_id} length={40} />],
          ["Place", run.place],
          ["User", run.user_id],
          ["Started", <AbsoluteTime key="started" at={run.created_at} />],
          ["Duration", <Duration key="duration" from={run.created_at} to={endedAt(run)} />],
          ["Attempt", run.attempt],
          run.due_at !== null && ["Due", <AbsoluteTime key="due" at={run.due_at} />],
          run.labels.length > 0 && ["Labels", run.labels.join(", ")],
        ]}
      />
      {run.error && (
        <pre tabIndex={0} aria-label="Error" className="mt-3 rounded-sm border border-failed/40 p-2 whitespace-pre-wrap text-failed">
          {run.error}
        </pre>
      )}
    </Dialog>
  );
}
