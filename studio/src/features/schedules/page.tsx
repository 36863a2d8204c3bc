import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { meQuery, schedulesQuery } from "@/api/queries";
import type { Schedule } from "@/api/types";
import { Everybody } from "@/blocks/rights/Everybody";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { ScheduleActions } from "./ScheduleActions";
import { ScheduleState } from "./ScheduleState";
import { LastTick } from "./TickOutcome";
import { NextTick } from "./NextTick";
import { Rule } from "./Rule";

/** Ticks have no events: the page polls. */
const EVERY = 5_000;

export default function Page() {
  return (
    <Everybody title="Schedules" what="Schedules">
      <AllSchedules />
    </Everybody>
  );
}

function AllSchedules() {
  const schedules = useQuery({ ...schedulesQuery(), refetchInterval: EVERY });
  return (
    <>
      <PageHeader title="Schedules" description="Schedules start runs at set times. Each tick fires once, however many processes there are." />
      <QueryView query={schedules} errorTitle="The schedules couldn't be loaded">
        {(all) => (all.length === 0 ? <NoSchedules /> : <Schedules schedules={all} />)}
      </QueryView>
    </>
  );
}

function Schedules({ schedules }: { schedules: readonly Schedule[] }) {
  const me = useQuery(meQuery()).data;
  const columns: Column<Schedule>[] = [
    { id: "name", header: "Schedule", cell: (one) => <Name schedule={one} /> },
    { id: "rule", header: "Rule", cell: (one) => <Rule schedule={one} /> },
    { id: "next", header: "Next", cell: (one) => <NextTick schedule={one} /> },
    { id: "last", header: "Last", cell: (one) => <LastTick tick={one.last} /> },
    { id: "state", header: "State", cell: (one) => <ScheduleState schedule={one} /> },
    { id: "actions", header: "Actions", className: "text-right", cell: (one) => <ScheduleActions schedule={one} me={me} size="sm" /> },
  ];
  return <DataTable label="Schedules" columns={columns} rows={schedules} rowId={(one) => `${one.app_name}/${one.name}`} comfortable />;
}

function Name({ schedule }: { schedule: Schedule }) {
  return (
    <div>
      <Link to="/schedules/$app/$name" params={{ app: schedule.app_name, name: schedule.name }} className="prose-link font-medium">
        {schedule.name}
      </Link>
      <div className="text-xs text-muted">
        {schedule.app_name}
        {schedule.workflow && <> · starts {schedule.workflow}</>}
      </div>
    </div>
  );
}

function NoSchedules() {
  return (
    <EmptyState title="No schedule is declared yet">
      Declare a schedule on an app: <code>app.schedule("nightly", workflow=Cleanup, every=timedelta(hours=6))</code>, or decorate a function with{" "}
      <code>@app.cron("0 9 * * *")</code>.
    </EmptyState>
  );
}
