import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { MoreHorizontal } from "lucide-react";
import { useState } from "react";
import { retryRun } from "@/api/mutations";
import { type Action, actionsOf } from "@/model/actions";
import { Button, IconButton } from "@/ui/Button";
import { Menu, MenuItem } from "@/ui/Menu";
import { toast, toastError } from "@/ui/Toast";
import { useRunPage } from "../data";
import { goTo } from "../feed/Dock";
import { CancelDialog } from "./CancelDialog";
import { DeleteDialog } from "./DeleteDialog";
import { UpdateDialog } from "./UpdateDialog";

/** One primary action by status, the rest in a menu. Unavailable actions stay visible, with the reason. */
export function Actions() {
  const { run, me, store, answerable, setSearch } = useRunPage();
  const [asking, setAsking] = useState<"cancel" | "update" | "delete" | null>(null);
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
    else if (verb === "again") void navigate({ to: "/workflows/$app/$name/start", params: { app: run.app_name, name: run.workflow_name }, search: { from: run.workflow_id } });
    else setAsking(verb);
  };
  const close = () => { setAsking(null); };
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
          <MenuItem key={one.verb} danger={one.verb === "cancel" || one.verb === "delete"} off={one.off} onSelect={() => { act(one.verb); }}>
            {one.label}
          </MenuItem>
        ))}
      </Menu>
      {asking === "cancel" && <CancelDialog onClose={close} />}
      {asking === "update" && <UpdateDialog onClose={close} />}
      {asking === "delete" && <DeleteDialog onClose={close} />}
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
