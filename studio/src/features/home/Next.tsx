import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { schedulesQuery } from "@/api/queries";
import { clock, moment } from "@/model/time";
import { QueryView } from "@/ui/QueryView";
import { RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import type { Upcoming } from "./upcoming";
import { upcoming } from "./upcoming";

/** The next five ticks of the schedules. */
export function Next() {
  const query = useQuery({ ...schedulesQuery(), refetchInterval: 30_000 });
  return (
    <QueryView query={query} errorTitle="The schedules couldn't be loaded">
      {(schedules) => {
        const next = upcoming(schedules, 5);
        if (next.length === 0) return <p className="text-muted">{schedules.length === 0 ? "No schedule is declared." : "No schedule will tick: all are paused or over."}</p>;
        return (
          <ol className="divide-y rounded-md border">
            {next.map((one) => (
              <Tick key={`${one.schedule.app_name} ${one.schedule.name} ${one.schedule.user_id ?? ""} ${one.at}`} upcoming={one} />
            ))}
          </ol>
        );
      }}
    </QueryView>
  );
}

function Tick({ upcoming: { schedule, at } }: { upcoming: Upcoming }) {
  const now = useNow(60_000);
  return (
    <li className="flex items-baseline gap-2 px-3 py-1.5">
      <Link to="/schedules/$app/$name" params={{ app: schedule.app_name, name: schedule.name }} search={{ user: schedule.user_id ?? undefined }} className="prose-link min-w-0 truncate">
        {schedule.name}
      </Link>
      <span className="min-w-0 grow truncate text-xs text-muted max-sm:invisible">{schedule.workflow && `starts ${schedule.workflow}`}</span>
      <span className="text-xs whitespace-nowrap text-muted">{clock(moment(at), now)}</span>
      <RelativeTime at={at} className="text-xs" />
    </li>
  );
}
