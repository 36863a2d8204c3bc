import type { Delivery } from "@/api/types";
import { isStatus, LOOKS } from "@/model/status";
import { Badge, StatusBadge } from "@/ui/Badge";

/** How the handling of a delivery stands: its handler is a durable run, with a run's statuses. */
export function DeliveryStatus({ delivery }: { delivery: Delivery }) {
  if (!isStatus(delivery.status)) return <Badge>{delivery.status ?? "handled"}</Badge>;
  const look = delivery.status === "waiting" ? LOOKS.sleeping : LOOKS[delivery.status];
  const detail = (delivery.attempt ?? 0) > 1 ? `attempt ${String(delivery.attempt)}` : undefined;
  return <StatusBadge {...look} detail={detail} />;
}
