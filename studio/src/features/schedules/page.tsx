import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { MOST_SCHEDULES, meQuery, schedulesQuery } from "@/api/queries";
import type { Me, Schedule } from "@/api/types";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { ScheduleDialog } from "./ScheduleDialog";
import { ScheduleActions } from "./ScheduleActions";
import { ScheduleState } from "./ScheduleState";
import { LastTick } from "./TickOutcome";
import { NextTick } from "./NextTick";
import { Rule } from "./Rule";

/** Ticks have no events: the page polls. */
const EVERY = 5_000;

export default function Page() {
  const me = useQuery(meQuery()).data;
  const schedules = useQuery({ ...schedulesQuery(), refetchInterval: EVERY });
  return (
    <>
      <PageHeader
        title="Schedules"
        description="Schedules start runs at set times. Each tick fires once, however many processes there are."
        actions={<NewSchedule me={me} />}
      />
      <QueryView query={schedules} errorTitle="The schedules couldn't be loaded">
        {(all) => (all.length === 0 ? <NoSchedules /> : <Schedules schedules={all} me={me} />)}
      </QueryView>
    </>
  );
}

function NewSchedule({ me }: { me: Me | undefined }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button variant="primary" off={actOff(me)} onClick={() => { setOpen(true); }}>
        New schedule
      </Button>
      {open && me && <ScheduleDialog me={me} onClose={() => { setOpen(false); }} />}
    </>
  );
}

function Schedules({ schedules, me }: { schedules: readonly Schedule[]; me: Me | undefined }) {
  const columns: Column<Schedule>[] = [
    { id: "name", header: "Schedule", cell: (one) => <Name schedule={one} /> },
    { id: "rule", header: "Rule", cell: (one) => <Rule schedule={one} /> },
    { id: "next", header: "Next", cell: (one) => <NextTick schedule={one} /> },
    { id: "last", header: "Last", cell: (one) => <LastTick tick={one.last} /> },
    { id: "state", header: "State", cell: (one) => <ScheduleState schedule={one} /> },
    { id: "actions", header: "Actions", className: "text-right", cell: (one) => <ScheduleActions schedule={one} me={me} size="sm" /> },
  ];
  const made = schedules.filter((one) => !one.declared).length;
  return (
    <>
      <DataTable label="Schedules" columns={columns} rows={schedules} rowId={(one) => `${one.app_name}/${one.name}/${one.user_id ?? ""}`} comfortable />
      {made >= MOST_SCHEDULES && <p className="mt-2 text-muted">Of those made at run time, the newest {MOST_SCHEDULES} are shown.</p>}
    </>
  );
}

function Name({ schedule }: { schedule: Schedule }) {
  return (
    <div>
      <Link to="/schedules/$app/$name" params={{ app: schedule.app_name, name: schedule.name }} search={{ user: schedule.user_id ?? undefined }} className="prose-link font-medium">
        {schedule.name}
      </Link>
      <div className="text-xs text-muted">
        {schedule.app_name}
        {schedule.workflow && <> · starts {schedule.workflow}</>}
        {schedule.user_id !== null && <> · for {schedule.user_id}</>}
      </div>
    </div>
  );
}

function NoSchedules() {
  return (
    <EmptyState title="There is no schedule yet">
      Make one here, or declare a schedule on an app: <code>app.schedule("nightly", workflow=Cleanup, every=timedelta(hours=6))</code>, or decorate a function with{" "}
      <code>@app.cron("0 9 * * *")</code>.
    </EmptyState>
  );
}
