import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Hourglass } from "lucide-react";
import { queueQuery, runsQuery } from "@/api/queries";
import { usePauses } from "@/blocks/pauses/usePauses";
import { Section } from "@/ui/Page";
import { useNow } from "@/ui/useNow";
import type { Still } from "./still";
import { stillAmong, stillIn } from "./still";

const EVERY = 10_000;

/** Runs that are due but don't continue, why, and what helps. Empty if there are none. */
export function StandsStill({ everybody }: { everybody: boolean }) {
  return everybody ? <OfAll /> : <OfMine />;
}

function OfAll() {
  const now = useNow(5_000);
  // That it can't be read is said where the queue is shown.
  const queue = useQuery({ ...queueQuery(), refetchInterval: EVERY }).data;
  return <List found={queue ? stillIn(queue, now) : []} />;
}

function OfMine() {
  const now = useNow(5_000);
  const runs = useQuery({ ...runsQuery({ status: ["pending", "waiting", "retrying"] }, { limit: 50 }), refetchInterval: EVERY }).data;
  const pauses = usePauses();
  return <List found={pauses.isPending ? [] : stillAmong(runs?.items ?? [], pauses.data ?? [], now)} />;
}

function List({ found }: { found: readonly Still[] }) {
  if (found.length === 0) return null;
  return (
    <Section title="Stalled">
      <ul className="divide-y rounded-md border">
        {found.map((one) => (
          <li key={`${one.app ?? ""} ${one.workflow ?? ""}`} className="flex items-start gap-2 px-3 py-2">
            <Hourglass size={14} aria-hidden className="mt-1 shrink-0 text-failed" />
            <div className="min-w-0">
              <p className="wrap-anywhere">{one.said}</p>
              <p className="text-xs text-muted">
                <Cure still={one} />
              </p>
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Cure({ still: { cure, app, workflow } }: { still: Still }) {
  if (cure === "ask for a worker") return "Ask the operator of this server whether a worker is alive.";
  const runs = app !== null && workflow !== null && (
    <Link to="/runs" search={{ app_name: app, workflow, status: ["pending", "waiting", "retrying"] }} className="prose-link">
      Its runs
    </Link>
  );
  if (cure === "look at the workers") {
    return (
      <>
        <Link to="/workers" className="prose-link">
          Look at the workers
        </Link>
        , or start another. {runs}
      </>
    );
  }
  return (
    <>
      Start one that declares it: <code>stepwell worker MODULE:ATTR</code>. {runs}
    </>
  );
}
