import type { Run, Worker } from "@/api/types";
import { RunLink } from "@/blocks/runs/RunLink";
import { LOOKS, lookOf } from "@/model/status";
import { Badge, StatusBadge } from "@/ui/Badge";
import { CopyId } from "@/ui/Copy";
import { Card, Facts } from "@/ui/Page";
import { Duration, RelativeTime } from "@/ui/Time";

/** One process: where, since when, what it takes, and what it holds now. */
export function WorkerCard({ worker }: { worker: Worker }) {
  return (
    <Card>
      <div className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-1">
        <h3>
          {worker.host} <span className="font-normal text-muted">process {worker.pid}</span>
        </h3>
        {worker.alive ? <Badge className="border-completed! text-completed!">Alive</Badge> : <Badge className="border-failed! text-failed!">Gone</Badge>}
        <CopyId id={worker.id} />
      </div>
      <Facts
        facts={[
          ["Last heartbeat", <RelativeTime key="seen" at={worker.seen_at} />],
          ["Running for", <Duration key="since" from={worker.started_at} to={worker.alive ? null : worker.seen_at} />],
          ["Takes", <Takes key="takes" worker={worker} />],
          ["Holds", <Holds key="holds" worker={worker} />],
        ]}
      />
    </Card>
  );
}

function Takes({ worker }: { worker: Worker }) {
  if (worker.takes.length === 0) return <span className="text-muted">no runs: it only serves</span>;
  const apps = Object.entries(byApp(worker));
  return (
    <ul>
      {apps.map(([app, names]) => (
        <li key={app}>
          <span className="text-muted">{app}:</span> {names.join(", ")}
        </li>
      ))}
    </ul>
  );
}

function byApp(worker: Worker): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const { app_name, workflow_name } of worker.takes) (found[app_name] ??= []).push(workflow_name);
  return found;
}

function Holds({ worker }: { worker: Worker }) {
  if (worker.holding === 0) return <span className="text-muted">nothing now</span>;
  const more = worker.holding - worker.runs.length;
  return (
    <>
      <ul className="flex flex-col gap-0.5">
        {worker.runs.map((run) => (
          <HeldRun key={run.workflow_id} run={run} />
        ))}
      </ul>
      {more > 0 && <span className="text-muted">and {more} more</span>}
    </>
  );
}

function HeldRun({ run }: { run: Run }) {
  return (
    <li className="flex flex-wrap items-center gap-x-2">
      <StatusBadge {...LOOKS[lookOf(run)]} filled={false} />
      <RunLink run={run} />
      <span className="text-muted">in {run.place}</span>
    </li>
  );
}
