import { useQuery } from "@tanstack/react-query";
import { queueQuery, workersQuery } from "@/api/queries";
import { Everybody } from "@/blocks/rights/Everybody";
import { PageHeader, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import { QueueDepth } from "./QueueDepth";
import { WorkerCard } from "./WorkerCard";

/** Heartbeats have no events: the page polls about as often as workers send them. */
const EVERY = 3_000;

export default function Page() {
  return (
    <Everybody title="Workers" what="Workers and the queue">
      <AllWorkers />
    </Everybody>
  );
}

function AllWorkers() {
  const workers = useQuery({ ...workersQuery(), refetchInterval: EVERY });
  const queue = useQuery({ ...queueQuery(), refetchInterval: EVERY });
  return (
    <>
      <PageHeader title="Workers" description="The processes that execute runs, by their heartbeats in the database, and the runs that wait for them." />
      <Section title="Queue">
        <QueryView query={queue} errorTitle="The queue couldn't be loaded">
          {(found) => <QueueDepth queue={found} />}
        </QueryView>
      </Section>
      <QueryView query={workers} errorTitle="The workers couldn't be loaded">
        {(found) => {
          const alive = found.filter((one) => one.alive);
          const gone = found.filter((one) => !one.alive);
          return (
            <>
              <Section title={`Alive: ${String(alive.length)}`}>
                {alive.length === 0 ? <NoWorkers /> : <div className="flex flex-col gap-3">{alive.map((one) => <WorkerCard key={one.id} worker={one} />)}</div>}
              </Section>
              {gone.length > 0 && (
                <details>
                  <summary className="min-h-6 text-muted">Gone: {gone.length}</summary>
                  <div className="mt-2 flex flex-col gap-3">{gone.map((one) => <WorkerCard key={one.id} worker={one} />)}</div>
                </details>
              )}
            </>
          );
        }}
      </QueryView>
    </>
  );
}

function NoWorkers() {
  return (
    <EmptyState title="No process executes runs">
      Start a worker: <code>stepwell worker MODULE:ATTR</code>. Or open the Stepwell with its embedded worker, which is the default.
    </EmptyState>
  );
}
