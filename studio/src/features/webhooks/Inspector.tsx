import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { RotateCcw } from "lucide-react";
import { keys } from "@/api/keys";
import { redrive } from "@/api/mutations";
import { meQuery } from "@/api/queries";
import type { Delivery } from "@/api/types";
import { operateOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { CopyId } from "@/ui/Copy";
import { Dialog } from "@/ui/Dialog";
import { Facts } from "@/ui/Page";
import { AbsoluteTime } from "@/ui/Time";
import { toast, toastError } from "@/ui/Toast";
import { DeliveryStatus } from "./DeliveryStatus";

/** One delivery: its content, its outcome, and handling it again. */
export function Inspector({ delivery, onClose }: { delivery: Delivery; onClose: () => void }) {
  return (
    <Dialog
      sheet
      open
      onOpenChange={onClose}
      title="Delivery"
      description={`${delivery.app_name} · ${delivery.route}`}
      footer={<Redrive delivery={delivery} />}
    >
      <Facts
        facts={[
          ["Status", <DeliveryStatus key="status" delivery={delivery} />],
          ["Delivery", <CopyId key="id" id={delivery.delivery_id} length={40} />],
          ["Path", <code key="path">{delivery.path}</code>],
          ["Received", <AbsoluteTime key="received" at={delivery.received_at} />],
          delivery.attempt ? ["Attempts", delivery.attempt] : null,
          ["Started", <StartedRuns key="started" delivery={delivery} />],
        ]}
      />
      {delivery.error && (
        <>
          <h3 className="mt-4 mb-1">Error</h3>
          <pre tabIndex={0} aria-label="Error" className="overflow-x-auto rounded-sm border border-failed/40 p-2 whitespace-pre-wrap text-failed">
            {delivery.error}
          </pre>
        </>
      )}
    </Dialog>
  );
}

/** The API returns the first hundred. */
function StartedRuns({ delivery: { started, status } }: { delivery: Delivery }) {
  if (started.length === 0) return <span className="text-muted">{status === "completed" ? "no run that is still kept" : "nothing yet"}</span>;
  return (
    <ul>
      {started.map((id) => (
        <li key={id}>
          <Link to="/runs/$workflowId" params={{ workflowId: id }} className="prose-link">
            <code>{id}</code>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Redrive({ delivery }: { delivery: Delivery }) {
  const client = useQueryClient();
  const me = useQuery(meQuery()).data;
  const again = useMutation({
    mutationFn: () => redrive(delivery.app_name, delivery.route, delivery.delivery_id),
    onSuccess: () => {
      toast({ title: "The delivery is handled again", detail: "What it had started is not started twice.", tone: "done" });
    },
    onError: (error) => {
      toastError("The delivery couldn't be handled again", error);
    },
    onSettled: () => client.invalidateQueries({ queryKey: keys.deliveries }),
  });
  const off = operateOff(me) ?? (delivery.status === "failed" ? null : "Only a delivery whose handling failed can be handled again.");
  return (
    <Button variant="primary" icon={<RotateCcw size={14} aria-hidden />} off={off} pending={again.isPending} onClick={() => { again.mutate(); }}>
      Handle again
    </Button>
  );
}
