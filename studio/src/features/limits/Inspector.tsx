import { useQuery } from "@tanstack/react-query";
import { ApiError } from "@/api/problem";
import { limitQuery } from "@/api/queries";
import type { LimitDetail, RunAtLimit } from "@/api/types";
import { RunLink } from "@/blocks/runs/RunLink";
import { STANDING_LOOKS } from "@/model/progress";
import { StatusBadge } from "@/ui/Badge";
import { Dialog } from "@/ui/Dialog";
import { Facts } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { RelativeTime } from "@/ui/Time";
import { Rule } from "./Rule";
import { atMost, heldText, limitText } from "./words";

/** Slots are taken and given back without an event. */
const EVERY = 5_000;

/** One limit: which runs hold it, and which wait for it. */
export function Inspector({ id, onClose }: { id: string; onClose: () => void }) {
  const query = useQuery({ ...limitQuery(id), refetchInterval: ({ state }) => (isFree(state.error) ? false : EVERY) });
  const free = isFree(query.error);
  return (
    <Dialog sheet open onOpenChange={onClose} title={query.data && !free ? limitText(query.data) : "Limit"}>
      {free ? <p>No run holds this limit any more, and none waits for it.</p> : <QueryView query={query} errorTitle="The limit couldn't be loaded">{(limit) => <Detail limit={limit} />}</QueryView>}
    </Dialog>
  );
}

/** The server knows limits only by the runs that hold them or wait for them. */
const isFree = (error: unknown) => error instanceof ApiError && error.status === 404;

function Detail({ limit }: { limit: LimitDetail }) {
  return (
    <>
      <Facts
        facts={[
          ["Limit of", <Rule key="rule" limit={limit} />],
          limit.key !== null && ["Key", <code key="key">{limit.key}</code>],
          limit.user_id !== null && ["User", limit.user_id],
          limit.opens_at !== null && ["Opens", <RelativeTime key="opens" at={limit.opens_at} />],
        ]}
      />
      <h3 className="mt-4 mb-1">{limit.kind === "rate" ? "Began within that time" : "Hold it"}: {heldText(limit)}</h3>
      <Runs runs={limit.holders} count={limit.holding} />
      <h3 className="mt-4 mb-1">Wait for it: {atMost(limit.held)}</h3>
      <Runs runs={limit.waiting} count={limit.held} />
    </>
  );
}

function Runs({ runs, count }: { runs: readonly RunAtLimit[]; count: number }) {
  if (runs.length === 0) return <p className="text-muted">{count === 0 ? "No run." : "No run that is visible to you."}</p>;
  return (
    <>
      <ul className="divide-y rounded-md border">
        {runs.map((run) => (
          <li key={run.workflow_id} className="flex flex-wrap items-center gap-x-2 px-2 py-1">
            <StatusBadge {...STANDING_LOOKS[run.status]} filled={false} />
            <RunLink run={run} />
            <span className="ml-auto text-xs text-muted">
              {run.user_id} · <RelativeTime at={run.since} />
            </span>
          </li>
        ))}
      </ul>
      {count > runs.length && <p className="text-muted">These are the first {runs.length}.</p>}
    </>
  );
}
