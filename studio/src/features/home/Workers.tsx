import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { queueQuery, workersQuery } from "@/api/queries";
import type { Queue, Worker } from "@/api/types";
import { Card } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { Skeleton } from "@/ui/States";
import { RelativeTime } from "@/ui/Time";

/** Heartbeats have no events. */
const EVERY = 10_000;

/** The workers, and how much waits for them since when. */
export function Workers() {
  const workers = useQuery({ ...workersQuery(), refetchInterval: EVERY });
  const queue = useQuery({ ...queueQuery(), refetchInterval: EVERY });
  return (
    <div className="grid gap-3 sm:grid-cols-2">
      <Card>
        <QueryView query={workers} errorTitle="The workers couldn't be loaded" loading={<Skeleton className="h-12" />}>
          {(all) => <Alive workers={all} />}
        </QueryView>
      </Card>
      <Card>
        <QueryView query={queue} errorTitle="The queue couldn't be read" loading={<Skeleton className="h-12" />}>
          {(depth) => <Depth queue={depth} />}
        </QueryView>
      </Card>
    </div>
  );
}

function Alive({ workers }: { workers: readonly Worker[] }) {
  const alive = workers.filter((worker) => worker.alive);
  const held = alive.reduce((sum, worker) => sum + worker.holding, 0);
  return (
    <>
      <Link to="/workers" className="prose-link">
        {alive.length === 1 ? "1 worker" : `${String(alive.length)} workers`}
      </Link>
      {alive.length === 0 ? (
        <p className="text-failed">None is alive: no run makes progress until one is started.</p>
      ) : (
        <p className="text-muted">
          {held === 0 ? "idle" : `holding ${held === 1 ? "1 run" : `${String(held)} runs`}`}
          {workers.length > alive.length && `, ${String(workers.length - alive.length)} gone`}
        </p>
      )}
    </>
  );
}

function Depth({ queue }: { queue: Queue }) {
  const alone = queue.lanes.filter((lane) => lane.workers === 0 && !lane.paused);
  return (
    <>
      <p>
        <span className="font-semibold">{queue.ready >= queue.capped_at ? `${String(queue.capped_at)}+` : queue.ready}</span> ready
        {queue.oldest_at && (
          <span className="text-muted">
            , the oldest since <RelativeTime at={queue.oldest_at} />
          </span>
        )}
        {queue.paused > 0 && <span className="text-muted">; {queue.paused >= queue.capped_at ? `${String(queue.capped_at)}+` : queue.paused} of them paused</span>}
      </p>
      <p className="text-muted">
        {queue.later >= queue.capped_at ? `${String(queue.capped_at)}+` : queue.later} due later
        {queue.next_at && (
          <>
            , next <RelativeTime at={queue.next_at} />
          </>
        )}
      </p>
      {alone.length > 0 && <p className="text-failed">No worker takes {alone.map((lane) => lane.workflow_name).join(", ")}.</p>}
    </>
  );
}
