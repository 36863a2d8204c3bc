import { Link } from "@tanstack/react-router";
import type { Lane, Queue } from "@/api/types";
import { Badge } from "@/ui/Badge";
import { Card } from "@/ui/Page";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";

/** How much waits for a worker, since when, and which workflows no worker takes. */
export function QueueDepth({ queue }: { queue: Queue }) {
  const columns: Column<Lane>[] = [
    { id: "workflow", header: "Workflow", cell: (lane) => <LaneLink lane={lane} /> },
    { id: "ready", header: "Ready", className: "text-right", cell: (lane) => atMost(lane.ready, queue.capped_at) },
    { id: "oldest", header: "Oldest", cell: (lane) => <RelativeTime at={lane.oldest_at} /> },
    { id: "workers", header: "Workers", cell: (lane) => <Takers lane={lane} /> },
  ];
  return (
    <>
      <div className="mb-3 grid grid-cols-[repeat(auto-fit,minmax(11rem,1fr))] gap-3">
        <Card>
          <div className="text-muted">Ready now</div>
          <div className="text-xl font-semibold">{atMost(queue.ready, queue.capped_at)}</div>
          {queue.oldest_at && (
            <div className="text-xs text-muted">
              oldest <RelativeTime at={queue.oldest_at} />
            </div>
          )}
          {queue.paused > 0 && <div className="text-xs text-muted">{atMost(queue.paused, queue.capped_at)} of them paused</div>}
        </Card>
        <Card>
          <div className="text-muted">Due later</div>
          <div className="text-xl font-semibold">{atMost(queue.later, queue.capped_at)}</div>
          {queue.next_at && (
            <div className="text-xs text-muted">
              next <RelativeTime at={queue.next_at} />
            </div>
          )}
        </Card>
      </div>
      {queue.lanes.length > 0 && <DataTable label="Workflows in the queue" columns={columns} rows={queue.lanes} rowId={(lane) => `${lane.app_name}/${lane.workflow_name}`} />}
    </>
  );
}

function LaneLink({ lane }: { lane: Lane }) {
  return (
    <>
      <Link to="/workflows/$app/$name" params={{ app: lane.app_name, name: lane.workflow_name }} className="prose-link">
        {lane.workflow_name}
      </Link>{" "}
      <span className="text-xs text-muted">{lane.app_name}</span> {lane.paused && <Badge className="border-paused! text-paused!">Paused</Badge>}
    </>
  );
}

function Takers({ lane }: { lane: Lane }) {
  if (lane.workers > 0) return <>{lane.workers}</>;
  return <strong className="font-medium text-failed">no worker takes it</strong>;
}

const atMost = (count: number, cap: number) => (count >= cap ? `${String(cap)}+` : String(count));
