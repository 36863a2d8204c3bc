import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { previewBulk } from "@/api/mutations";
import type { BulkPreview, BulkRequest, Run } from "@/api/types";
import { bulkLabel, bulkSummary, counted } from "@/model/actions";
import { LOOKS, lookOf } from "@/model/status";
import { StatusBadge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { shortId } from "@/ui/Copy";
import { Dialog } from "@/ui/Dialog";
import { Field, TextArea } from "@/ui/fields";
import { QueryView } from "@/ui/QueryView";
import { ErrorState, LoadingRows } from "@/ui/States";
import type { Progress } from "./useBulk";
import { useBulk } from "./useBulk";

const VERBS = { retry: "Retry runs", cancel: "Cancel runs" } as const;
const DONE = { retry: "retried", cancel: "cancelled" } as const;

/** A preview of the action, its confirmation, and its result. Nothing is done before the preview was shown. */
export function BulkDialog({ request, onClose, onDone }: { request: BulkRequest; onClose: () => void; onDone: () => void }) {
  const { action } = request;
  // Fetched once: a preview mustn't change while it is read.
  const preview = useQuery({ queryKey: ["bulk-preview", request], queryFn: () => previewBulk(request), staleTime: Infinity, gcTime: 0, retry: false, refetchOnWindowFocus: false });
  const [reason, setReason] = useState("");
  const { progress, run, stop } = useBulk();
  const begun = progress.state !== "idle";
  const close = () => {
    if (progress.state === "running") return;
    if (begun) onDone();
    else onClose();
  };
  const go = () => void run(request, action === "cancel" ? reason.trim() || undefined : undefined);
  return (
    <Dialog
      open
      onOpenChange={close}
      title={VERBS[action]}
      wide
      footer={
        begun ? (
          <Ended progress={progress} onStop={stop} onClose={close} />
        ) : (
          <>
            <Button onClick={onClose}>Leave them unchanged</Button>
            <Confirm action={action} preview={preview.data} onGo={go} />
          </>
        )
      }
    >
      {begun ? (
        <ProgressReport action={action} progress={progress} preview={preview.data} />
      ) : (
        <QueryView query={preview} loading={<LoadingRows label="Checking which runs it would affect" />} errorTitle="The affected runs couldn't be determined">
          {(found) => (
            <>
              <p className="mb-2">{bulkSummary(action, found)}</p>
              <Sample runs={found.sample} eligible={found.eligible} />
              {action === "cancel" && found.eligible > 0 && (
                <Field label="Reason" help="Stored with each run, and shown to those who view it." className="mt-3">
                  {(props) => <TextArea {...props} rows={2} value={reason} onChange={(event) => { setReason(event.target.value); }} />}
                </Field>
              )}
            </>
          )}
        </QueryView>
      )}
    </Dialog>
  );
}

function Confirm({ action, preview, onGo }: { action: BulkRequest["action"]; preview: BulkPreview | undefined; onGo: () => void }) {
  const off = preview === undefined ? "The affected runs aren't known yet." : preview.eligible === 0 && !preview.more ? `None of them can be ${DONE[action]}.` : null;
  return (
    <Button variant={action === "cancel" ? "danger" : "primary"} off={off} onClick={onGo}>
      {preview ? bulkLabel(action, preview.eligible, preview.more) : VERBS[action]}
    </Button>
  );
}

function Sample({ runs, eligible }: { runs: readonly Run[]; eligible: number }) {
  if (runs.length === 0) return null;
  return (
    <>
      <h3 className="mb-1">{eligible > runs.length ? `The first ${String(runs.length)} of them` : "These are"}</h3>
      <ul className="flex flex-col gap-1">
        {runs.map((run) => (
          <li key={run.workflow_id} className="flex flex-wrap items-center gap-x-2">
            <StatusBadge {...LOOKS[lookOf(run)]} filled={false} />
            <span className="min-w-0 wrap-anywhere">{run.subject ?? run.workflow_name}</span>
            <code title={run.workflow_id}>{shortId(run.workflow_id)}</code>
            <span className="text-muted">in {run.place}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function ProgressReport({ action, progress, preview }: { action: BulkRequest["action"]; progress: Progress; preview: BulkPreview | undefined }) {
  const of = preview && !preview.more && progress.state === "running" ? ` of ${String(preview.eligible)}` : "";
  return (
    <div aria-live="polite">
      <p className="font-medium">
        {counted(progress.done, "run")}
        {of} {DONE[action]}
        {progress.state === "running" ? "…" : "."}
        {progress.state === "stopped" && " Stopped: the rest is unchanged."}
      </p>
      {Object.entries(progress.skipped).map(([why, count]) => (
        <p key={why} className="text-muted">
          {counted(count, "run")} left as {count === 1 ? "it was" : "they were"}: {why}
        </p>
      ))}
      {progress.state === "broken" && <ErrorState error={progress.error} title="The action was interrupted" />}
      {progress.failed.length > 0 && (
        <>
          <h3 className="mt-3">Refused</h3>
          <ul tabIndex={0} aria-label="Refused" className="max-h-48 overflow-y-auto">
            {progress.failed.map((one) => (
              <li key={one.workflow_id}>
                <code title={one.workflow_id}>{shortId(one.workflow_id)}</code> <span className="text-muted">{one.detail}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function Ended({ progress, onStop, onClose }: { progress: Progress; onStop: () => void; onClose: () => void }) {
  if (progress.state === "running") return <Button onClick={onStop}>Stop after this page</Button>;
  return (
    <Button variant="primary" onClick={onClose}>
      Close
    </Button>
  );
}
