import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Pause, Play, Zap } from "lucide-react";
import { keys } from "@/api/keys";
import { fireSchedule, pauseSchedule, resumeSchedule } from "@/api/mutations";
import type { Me, Schedule } from "@/api/types";
import { actOff, operateOff } from "@/model/rights";
import type { ButtonSize } from "@/ui/Button";
import { Button } from "@/ui/Button";
import { toast, toastError } from "@/ui/Toast";

/** Pause or resume, and fire now. Actions that the user may not perform stay visible, with the reason. */
export function ScheduleActions({ schedule, me, size = "md" }: { schedule: Schedule; me: Me | undefined; size?: ButtonSize }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { name, paused } = schedule;
  const refresh = () => client.invalidateQueries({ queryKey: keys.schedules });
  const toggle = useMutation({
    mutationFn: () => (paused ? resumeSchedule(schedule) : pauseSchedule(schedule)),
    onSuccess: () => {
      toast({ title: paused ? `${name} has been resumed` : `${name} is paused`, tone: "done" });
    },
    onError: (error) => {
      toastError(`${name} couldn't be ${paused ? "resumed" : "paused"}`, error);
    },
    onSettled: refresh,
  });
  const fire = useMutation({
    mutationFn: () => fireSchedule(schedule),
    onSuccess: (tick) => {
      const id = tick.workflow_id;
      const action = id === null ? undefined : { label: "Open its run", run: () => void navigate({ to: "/runs/$workflowId", params: { workflowId: id } }) };
      toast({ title: `${name} was fired`, tone: "done", action });
    },
    onError: (error) => {
      toastError(`${name} couldn't be fired`, error);
    },
    onSettled: refresh,
  });
  const off = schedule.declared ? operateOff(me) : actOff(me);
  return (
    <span className="inline-flex flex-wrap justify-end gap-1">
      <Button size={size} icon={paused ? <Play size={14} aria-hidden /> : <Pause size={14} aria-hidden />} off={off} pending={toggle.isPending} onClick={() => { toggle.mutate(); }} aria-label={`${paused ? "Resume" : "Pause"}: ${name}`}>
        {paused ? "Resume" : "Pause"}
      </Button>
      <Button
        size={size}
        icon={<Zap size={14} aria-hidden />}
        off={off ?? (schedule.here ? null : "This server's process doesn't have it, so it can't fire it.")}
        pending={fire.isPending}
        onClick={() => { fire.mutate(); }}
        aria-label={`Fire now: ${name}`}
      >
        Fire now
      </Button>
    </span>
  );
}
