import type { Delivery } from "@/api/types";
import { isStatus, LOOKS } from "@/model/status";
import { Badge, StatusBadge } from "@/ui/Badge";

/** The status of a delivery's handler, which is a durable run. */
export function DeliveryStatus({ delivery }: { delivery: Delivery }) {
  if (!isStatus(delivery.status)) return <Badge>{delivery.status ?? "handled"}</Badge>;
  const look = delivery.status === "waiting" ? LOOKS.sleeping : LOOKS[delivery.status];
  const detail = (delivery.attempt ?? 0) > 1 ? `attempt ${String(delivery.attempt)}` : undefined;
  return <StatusBadge {...look} detail={detail} />;
}
