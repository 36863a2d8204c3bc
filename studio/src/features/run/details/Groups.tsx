import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { runGroupsQuery } from "@/api/queries";
import type { ChildGroup } from "@/api/types";
import { Counts } from "@/blocks/progress/Counts";
import { ProgressBar } from "@/blocks/progress/ProgressBar";
import { words } from "@/model/definition";
import { endedText, grouped, leftText, rateText } from "@/model/progress";
import { Card, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { useNow } from "@/ui/useNow";
import { useRunPage } from "../data";

/** Counted by the server: polled while a group goes on. */
const EVERY = 2_000;
const goesOn = ({ progress }: ChildGroup) => progress.finished_at === null;

/** How far the groups of runs are that it started, the newest first. Nothing if it started none. */
export function Groups() {
  const { run } = useRunPage();
  const query = useQuery({ ...runGroupsQuery(run.workflow_id), refetchInterval: ({ state }) => (state.data?.some(goesOn) ? EVERY : false) });
  if (query.isPending || query.data?.length === 0) return null;
  return (
    <Section title={query.data?.length === 1 ? "The group of runs that it started" : "The groups of runs that it started"}>
      <QueryView query={query} errorTitle="The groups couldn't be loaded">
        {(groups) => (
          <ul className="flex flex-col gap-2">
            {groups.map((group) => (
              <li key={group.group_id}>
                <Group group={group} />
              </li>
            ))}
          </ul>
        )}
      </QueryView>
    </Section>
  );
}

function Group({ group }: { group: ChildGroup }) {
  const { run } = useRunPage();
  const now = useNow();
  const { progress } = group;
  return (
    <Card>
      <p className="text-xs text-muted">{purposeOf(group)}</p>
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
      {group.decided_by !== null && (
        <p className="mt-1 text-xs">
          Decided by{" "}
          <Link to="/runs/$workflowId" params={{ workflowId: group.decided_by }} className="prose-link">
            one of its runs
          </Link>
        </p>
      )}
      {goesOn(group) && (
        <p className="mt-1 text-xs text-muted tabular-nums">
          Rate: {rateText(progress)} · Time left: {leftText(progress, now)}
        </p>
      )}
    </Card>
  );
}

const UNTIL: Record<ChildGroup["until"], string> = {
  each: "each time one has ended",
  all_ended: "once all have ended",
  all_completed: "once all have completed, or one hasn't",
  first_completed: "once the first has completed",
};

/** What was started, how many at once, and what comes afterwards. */
function purposeOf({ label, workflow_name: workflow, max_in_flight: most, callback, until }: ChildGroup): string {
  const title = label ?? (workflow === null ? "Several workflows" : words(workflow));
  const limit = most === null ? "" : ` · at most ${grouped(most)} at once`;
  const then = callback === null ? "" : ` · ${UNTIL[until]}, ${words(callback)}`;
  return title + limit + then;
}
