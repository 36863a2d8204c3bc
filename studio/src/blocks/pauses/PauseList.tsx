import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Play } from "lucide-react";
import { useState } from "react";
import { keys } from "@/api/keys";
import { resume } from "@/api/mutations";
import { meQuery } from "@/api/queries";
import type { Pause } from "@/api/types";
import { pauseKey, pausedText } from "@/model/pauses";
import { operateOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { StatusShape } from "@/ui/StatusShape";
import { RelativeTime } from "@/ui/Time";
import { toast, toastError } from "@/ui/Toast";

/** What is paused, by whom, since when and why; each with Resume. */
export function PauseList({ pauses }: { pauses: readonly Pause[] }) {
  return (
    <ul aria-label="Paused" className="divide-y rounded-md border">
      {pauses.map((one) => (
        <li key={pauseKey(one)} className="flex flex-wrap items-start gap-2 px-3 py-2">
          <span className="pt-1">
            <StatusShape shape="bars" token="paused" />
          </span>
          <div className="min-w-0 grow basis-48">
            <p className="wrap-anywhere">
              <span className="font-medium">{pausedText(one)}</span> is paused{one.reason && `: ${one.reason}`}
            </p>
            <p className="text-xs text-muted">
              <RelativeTime at={one.paused_at} />
              {one.who !== null && `, by ${one.who}`}
            </p>
          </div>
          <Resume pause={one} />
        </li>
      ))}
    </ul>
  );
}

/** Asks for confirmation: runs that wait begin at once. */
function Resume({ pause }: { pause: Pause }) {
  const client = useQueryClient();
  const off = operateOff(useQuery(meQuery()).data);
  const [asking, setAsking] = useState(false);
  const said = pausedText(pause);
  const lift = useMutation({
    mutationFn: () => resume({ app_name: pause.app_name, workflow: pause.workflow }),
    onSuccess: ({ remaining }) => {
      const detail = remaining.length === 0 ? undefined : `Runs still wait: ${remaining.map((one) => `${pausedText(one)} is paused`).join(", ")}.`;
      toast({ title: `${said} has been resumed`, detail, tone: "done" });
      setAsking(false);
    },
    onError: (error) => { toastError(`${said} couldn't be resumed`, error); },
    onSettled: () => client.invalidateQueries({ queryKey: keys.pauses }),
  });
  return (
    <>
      <Button size="sm" off={off} icon={<Play size={12} aria-hidden />} aria-label={`Resume: ${said}`} onClick={() => { setAsking(true); }}>
        Resume
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title="Resume?"
        description={`${said} is no longer paused: the runs that wait because of it continue at once. Other pauses stay.`}
        footer={
          <>
            <Button onClick={() => { setAsking(false); }}>Leave it paused</Button>
            <Button variant="primary" pending={lift.isPending} onClick={() => { lift.mutate(); }}>
              Resume
            </Button>
          </>
        }
      />
    </>
  );
}
