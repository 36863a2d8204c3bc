import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { keys } from "@/api/keys";
import { deleteSchedule } from "@/api/mutations";
import type { Me, ScheduleDetail } from "@/api/types";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { toast, toastError } from "@/ui/Toast";
import { ScheduleDialog } from "./ScheduleDialog";

/** Edit and delete, for a schedule that was made at run time. */
export function MadeActions({ schedule, me }: { schedule: ScheduleDetail; me: Me | undefined }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"edit" | "delete" | null>(null);
  const close = () => { setOpen(null); };
  const remove = useMutation({
    mutationFn: () => deleteSchedule(schedule),
    onSuccess: async () => {
      toast({ title: `${schedule.name} has been deleted`, tone: "done" });
      await navigate({ to: "/schedules" });
      // The list only: the page that was left would ask for what is gone.
      await client.invalidateQueries({ queryKey: [...keys.schedules, "list"] });
    },
    onError: (error) => {
      toastError(`${schedule.name} couldn't be deleted`, error);
      void client.invalidateQueries({ queryKey: keys.schedules });
    },
  });
  const off = actOff(me);
  return (
    <>
      <Button off={off} onClick={() => { setOpen("edit"); }}>
        Edit
      </Button>
      <Button variant="danger" off={off} onClick={() => { setOpen("delete"); }}>
        Delete
      </Button>
      {open === "edit" && me && <ScheduleDialog me={me} schedule={schedule} onClose={close} />}
      <Dialog
        open={open === "delete"}
        onOpenChange={close}
        title={`Delete ${schedule.name}?`}
        description="It fires nothing any more. The runs that it has started stay."
        footer={
          <>
            <Button onClick={close}>Keep it</Button>
            <Button variant="danger" pending={remove.isPending} onClick={() => { remove.mutate(); }}>
              Delete the schedule
            </Button>
          </>
        }
      />
    </>
  );
}
