import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { MoreHorizontal } from "lucide-react";
import { useState } from "react";
import { cancelRun, retryRun } from "@/api/mutations";
import { type Action, actionsOf } from "@/model/actions";
import { Button, IconButton } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, TextArea } from "@/ui/fields";
import { Menu, MenuItem } from "@/ui/Menu";
import { toast, toastError } from "@/ui/Toast";
import { useRunPage } from "./data";
import { goTo } from "./feed/Dock";

/** One primary action by status, the rest in a menu. Unavailable actions stay visible, with the reason. */
export function Actions() {
  const { run, me, store, answerable, setSearch } = useRunPage();
  const [asking, setAsking] = useState(false);
  const navigate = useNavigate();
  const retry = useMutation({
    mutationFn: () => retryRun(run.workflow_id),
    onSuccess: () => {
      toast({ title: "Another attempt begins", tone: "done" });
      return store.look();
    },
    onError: (error) => { toastError("The run couldn't be retried", error); },
  });
  if (!me) return null;
  const act = (verb: Action["verb"]) => {
    if (verb === "retry") retry.mutate();
    else if (verb === "cancel") setAsking(true);
    else void navigate({ to: "/workflows/$app/$name/start", params: { app: run.app_name, name: run.workflow_name }, search: { from: run.workflow_id } });
  };
  const actions = actionsOf(run, me);
  const primary = actions.find((one) => one.primary);
  const rest = actions.filter((one) => one !== primary);
  return (
    <div className="flex shrink-0 items-center gap-2">
      {run.status === "waiting" && answerable.length > 0 && (
        <Button variant="primary" off={me.role === "viewer" && "You may view runs, but answering needs the role operator."} onClick={() => { setSearch({ tab: "feed" }); answerSoon(); }}>
          Answer
        </Button>
      )}
      {primary && (
        <Button variant={primary.verb === "cancel" ? "danger" : "primary"} off={primary.off} pending={primary.verb === "retry" && retry.isPending} onClick={() => { act(primary.verb); }}>
          {primary.label}
        </Button>
      )}
      <Menu trigger={<IconButton label="More actions" variant="secondary"><MoreHorizontal size={16} aria-hidden /></IconButton>}>
        {rest.map((one) => (
          <MenuItem key={one.verb} danger={one.verb === "cancel"} off={one.off} onSelect={() => { act(one.verb); }}>
            {one.label}
          </MenuItem>
        ))}
      </Menu>
      <CancelDialog open={asking} onOpenChange={setAsking} />
    </div>
  );
}

/** Waits until the feed and its form are rendered. */
function answerSoon(tries = 30): void {
  const dock = document.querySelector("[data-dock]");
  const there = dock !== null && dock.childElementCount > 0 && dock.querySelector("[role=status]") === null;
  if (there || (dock && tries === 0)) goTo(dock);
  else if (tries > 0) setTimeout(() => { answerSoon(tries - 1); }, 100);
}

function CancelDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const { run, children, store, definition } = useRunPage();
  const clears = run.canceling ? run.place : definition?.on_cancel ?? null;
  const [reason, setReason] = useState("");
  const cancel = useMutation({
    mutationFn: (force: boolean) => cancelRun(run.workflow_id, reason.trim() || undefined, force),
    onSuccess: (after) => {
      onOpenChange(false);
      toast({ title: after.status === "canceled" ? "The run was cancelled" : "The run clears up, and is cancelled then", tone: "done" });
      return store.look();
    },
    onError: (error) => { toastError("The run couldn't be cancelled", error); },
  });
  const open_ = children.filter((child) => child.run.finished_at === null && child.on_parent_end === "cancel").length;
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Cancel this run?"
      description={clears ? `It clears up from ${clears} on, and is cancelled at the end. Force cancels it at once: nothing is cleared up.` : open_ > 0 ? `It stops for good, together with ${open_ === 1 ? "the run" : `the ${String(open_)} runs`} that it started.` : "It stops for good. What it has done so far isn't undone."}
      footer={
        <>
          <Button onClick={() => { onOpenChange(false); }}>Keep it</Button>
          <Button variant="danger" pending={cancel.isPending} onClick={() => { cancel.mutate(false); }} off={run.canceling && "It is being cancelled: it clears up."}>
            Cancel the run
          </Button>
          {clears && (
            <Button variant="danger" pending={cancel.isPending} onClick={() => { cancel.mutate(true); }}>
              Force
            </Button>
          )}
        </>
      }
    >
      <Field label="Reason" help="Stored in the history.">
        {(props) => <TextArea {...props} rows={3} maxLength={10_000} value={reason} onChange={(event) => { setReason(event.target.value); }} />}
      </Field>
    </Dialog>
  );
}
