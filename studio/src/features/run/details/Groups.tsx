import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { groupQuery } from "@/api/queries";
import { Counts } from "@/blocks/progress/Counts";
import { ProgressBar } from "@/blocks/progress/ProgressBar";
import { endedText, leftText, rateText } from "@/model/progress";
import { Card, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { Skeleton } from "@/ui/States";
import { useNow } from "@/ui/useNow";
import { useRunPage } from "../data";

/** Counted by the server: polled while the group goes on. */
const EVERY = 2_000;

/** How far the groups of runs are that it started. Nothing if it started none. */
export function Groups() {
  const { children } = useRunPage();
  const groups = [...new Set(children.flatMap(({ run }) => run.group_id ?? []))];
  if (groups.length === 0) return null;
  return (
    <Section title={groups.length === 1 ? "The group of runs that it started" : "The groups of runs that it started"}>
      <ul className="flex flex-col gap-2">
        {groups.map((id) => (
          <li key={id}>
            <Group id={id} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Group({ id }: { id: string }) {
  const { run } = useRunPage();
  const now = useNow();
  const query = useQuery({ ...groupQuery(id), refetchInterval: ({ state }) => (state.data?.finished_at === null ? EVERY : false) });
  return (
    <Card>
      <QueryView query={query} errorTitle="The progress of the group couldn't be loaded" loading={<Skeleton className="h-12" />}>
        {(progress) => (
          <>
            <p className="mb-1 tabular-nums">{endedText(progress)}</p>
            <ProgressBar progress={progress} label="Progress of the group" />
            <div className="mt-2">
              <Counts
                progress={progress}
                link={(standing, count) => (
                  <Link to="/runs" search={{ parent_id: run.workflow_id, status: [standing === "held" ? "pending" : standing] }} className="text-ink hover:underline">
                    {count}
                  </Link>
                )}
              />
            </div>
            {progress.finished_at === null && (
              <p className="mt-1 text-xs text-muted tabular-nums">
                Rate: {rateText(progress)} · Time left: {leftText(progress, now)}
              </p>
            )}
          </>
        )}
      </QueryView>
    </Card>
  );
}
