import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { keys } from "@/api/keys";
import { retryTick } from "@/api/mutations";
import { meQuery, scheduleQuery } from "@/api/queries";
import type { Me, ScheduleDetail, Tick } from "@/api/types";
import { actOff, operateOff } from "@/model/rights";
import { isMoving, isStatus } from "@/model/status";
import { duration, moment, relative } from "@/model/time";
import { Button } from "@/ui/Button";
import { Facts, PageHeader, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { EmptyState } from "@/ui/States";
import { RelativeTime } from "@/ui/Time";
import { toastError } from "@/ui/Toast";
import { useNow } from "@/ui/useNow";
import { InZones } from "../NextTick";
import { Rule } from "../Rule";
import { MadeActions } from "../MadeActions";
import { ScheduleActions } from "../ScheduleActions";
import { ScheduleState } from "../ScheduleState";
import { OUTCOMES, TickOutcome } from "../TickOutcome";

const route = getRouteApi("/schedules/$app/$name");
/** Ticks have no events: the page polls, more often while something that a tick started is going on. */
const EVERY = 5_000;
const SOON = 1_000;

export default function Page() {
  const { app, name } = route.useParams();
  const { user } = route.useSearch();
  const schedule = useQuery({ ...scheduleQuery(app, name, user), refetchInterval: ({ state }) => (state.data?.ticks.some(isGoingOn) ? SOON : EVERY) });
  const me = useQuery(meQuery()).data;
  return (
    <>
      <PageHeader
        title={name}
        trail={
          <>
            <Link to="/schedules" className="prose-link">
              Schedules
            </Link>{" "}
            / {app}
          </>
        }
        actions={
          schedule.data && (
            <>
              {!schedule.data.declared && <MadeActions schedule={schedule.data} me={me} />}
              <ScheduleActions schedule={schedule.data} me={me} />
            </>
          )
        }
      />
      <QueryView query={schedule} errorTitle="The schedule couldn't be loaded">
        {(found) => <Detail schedule={found} me={me} />}
      </QueryView>
    </>
  );
}

const isGoingOn = ({ status }: Tick) => status !== null && isStatus(status) && isMoving(status);

function Detail({ schedule, me }: { schedule: ScheduleDetail; me: Me | undefined }) {
  return (
    <>
      <Section title="What it does">
        <Facts
          facts={[
            ["Rule", <Rule key="rule" schedule={schedule} />],
            ["Starts", schedule.workflow ? <WorkflowLink key="workflow" app={schedule.app_name} name={schedule.workflow} /> : "its own handler, as a durable run"],
            ["For", schedule.user_id],
            ["With", schedule.args !== null && <code key="args" className="wrap-anywhere">{JSON.stringify(schedule.args)}</code>],
            ["While one runs", schedule.overlap && (wordsOf(OVERLAPS, schedule.overlap))],
            ["Missed ticks", schedule.misfire && wordsOf(MISFIRES, schedule.misfire) + oldestOf(schedule)],
            ["Spread over", schedule.jitter ? duration(schedule.jitter * 1000) : null],
            ["If its handler fails", schedule.retries !== null && attemptsOf(schedule)],
            ["State", <ScheduleState key="state" schedule={schedule} />],
            ["Fires nothing", schedule.error && <code key="error">{schedule.error}</code>],
          ]}
        />
      </Section>
      <div className="grid grid-cols-1 gap-x-8 lg:grid-cols-2">
        <Section title="Next">
          <NextTicks schedule={schedule} />
        </Section>
        <Section title="Ticks so far">
          <Ticks schedule={schedule} me={me} />
        </Section>
      </div>
    </>
  );
}

/** Only schedules that were made at run time tell it. */
const oldestOf = ({ misfire, catch_up: oldest }: ScheduleDetail) =>
  misfire === "skip" || oldest == null ? "" : `, if not older than ${duration(oldest * 1000)}`;

/** How often the handler is tried again, and how long each attempt may take. */
const attemptsOf = ({ retries, timeout }: ScheduleDetail) => {
  const again = retries ? `it is tried again, up to ${String(retries)} times` : "it isn't tried again";
  const limits = timeout === null ? "" : timeout === 0 ? "; an attempt has no time limit" : `; an attempt may take ${String(timeout)} s`;
  return again + limits;
};

const OVERLAPS: Record<string, string> = {
  skip: "a tick is skipped while the previous tick's run is going",
  queue: "a tick waits for the previous tick's run",
  allow: "ticks fire even while runs of earlier ticks are going",
};
const MISFIRES: Record<string, string> = {
  latest: "only the latest is caught up",
  all: "all are caught up",
  skip: "they are left out",
};

/** Null: the process that answers doesn't declare the schedule. */
const wordsOf = (meanings: Record<string, string>, rule: string | null) => (rule === null ? "unknown to this server" : (meanings[rule] ?? rule));

function WorkflowLink({ app, name }: { app: string; name: string }) {
  return (
    <Link to="/workflows/$app/$name" params={{ app, name }} className="prose-link">
      {name}
    </Link>
  );
}

function NextTicks({ schedule }: { schedule: ScheduleDetail }) {
  const now = useNow();
  if (schedule.paused) return <p className="text-muted">It is paused: no tick fires until it is resumed.</p>;
  if (schedule.next.length === 0) return <p className="text-muted">No further tick.</p>;
  return (
    <ol className="flex flex-col gap-1">
      {schedule.next.map((at) => (
        <li key={at} className="flex flex-wrap gap-x-3">
          <span className="w-16 text-muted">{relative(moment(at), now)}</span>
          <InZones at={at} zone={schedule.timezone} />
        </li>
      ))}
    </ol>
  );
}

function Ticks({ schedule, me }: { schedule: ScheduleDetail; me: Me | undefined }) {
  if (schedule.ticks.length === 0) return <EmptyState title="It hasn't ticked yet">Its first tick is at the top of the list beside this one.</EmptyState>;
  const columns: Column<Tick>[] = [
    { id: "scheduled", header: "Scheduled", cell: (tick) => <InZones at={tick.scheduled_at} zone={schedule.timezone} /> },
    { id: "fired", header: "Fired", cell: (tick) => <RelativeTime at={tick.fired_at} none="not" /> },
    { id: "outcome", header: "Outcome", cell: (tick) => <TickOutcome tick={tick} /> },
    { id: "why", header: "Why", className: "text-muted", cell: (tick) => (tick.outcome === "fired" ? "" : OUTCOMES[tick.outcome].meaning) },
    { id: "retry", header: "Again", cell: (tick) => tick.status === "failed" && <RetryTick schedule={schedule} tick={tick} me={me} /> },
  ];
  return <DataTable label="Ticks" columns={columns} rows={schedule.ticks} rowId={(tick) => tick.scheduled_at} />;
}

function RetryTick({ schedule, tick, me }: { schedule: ScheduleDetail; tick: Tick; me: Me | undefined }) {
  const client = useQueryClient();
  const again = useMutation({
    mutationFn: () => retryTick(schedule, tick.scheduled_at),
    onError: (error) => { toastError("The tick couldn't be retried", error); },
    onSettled: () => client.invalidateQueries({ queryKey: keys.schedules }),
  });
  return (
    <Button size="sm" off={schedule.declared ? operateOff(me) : actOff(me)} pending={again.isPending} onClick={() => { again.mutate(); }}>
      Retry
    </Button>
  );
}
