import { useQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { ApiError } from "@/api/problem";
import { batchQuery } from "@/api/queries";
import type { Batch } from "@/api/types";
import { Counts } from "@/blocks/progress/Counts";
import { ProgressBar } from "@/blocks/progress/ProgressBar";
import { type Standing, endedText, leftText, rateText } from "@/model/progress";
import { buttonClass } from "@/ui/Button";
import { CopyId, shortId } from "@/ui/Copy";
import { Card, Facts, PageHeader, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import { RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import { BatchStatus } from "../BatchStatus";
import { Actions } from "./Actions";
import { Items } from "./Items";
import { WhatFailed } from "./WhatFailed";

const route = getRouteApi("/batches/$batchId");
/** Its progress is counted by the server: it is polled while runs go on. Later changes are events of its runs. */
const EVERY = 2_000;

export default function Page() {
  const { batchId } = route.useParams();
  const query = useQuery({ ...batchQuery(batchId), refetchInterval: ({ state }) => (state.data?.status === "running" ? EVERY : false) });
  const batch = query.data;
  if (!batch && query.error instanceof ApiError && query.error.status === 404) return <NotFound id={batchId} />;
  const name = batch?.label ?? `Batch ${shortId(batchId)}`;
  return (
    <>
      <PageHeader
        title={name}
        trail={
          <>
            <Link to="/batches" className="prose-link">
              Batches
            </Link>
            {batch && <> / {batch.app_name}</>}
          </>
        }
        actions={batch && <Actions batch={batch} />}
      />
      <QueryView query={query} errorTitle="The batch couldn't be loaded">
        {(found) => <Detail batch={found} />}
      </QueryView>
    </>
  );
}

function Detail({ batch }: { batch: Batch }) {
  const { status } = route.useSearch();
  return (
    <>
      <div className="grid gap-x-8 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <Standings batch={batch} />
        <About batch={batch} />
      </div>
      {status === undefined && <WhatFailed batch={batch} />}
      <Items batch={batch} status={status} />
    </>
  );
}

function Standings({ batch }: { batch: Batch }) {
  const { progress } = batch;
  const now = useNow();
  return (
    <Section title="Progress">
      <Card>
        <div className="mb-2 flex flex-wrap items-center gap-x-4">
          <BatchStatus batch={batch} />
          <span className="tabular-nums">{endedText(progress)}</span>
        </div>
        <ProgressBar progress={progress} label="Progress of the batch" />
        <div className="mt-2">
          <Counts progress={progress} link={(standing, count) => <CountLink standing={standing}>{count}</CountLink>} />
        </div>
        {batch.status === "running" && (
          <p className="mt-2 text-muted tabular-nums">
            Rate: {rateText(progress)} · Time left: {leftText(progress, now)}
          </p>
        )}
      </Card>
    </Section>
  );
}

/** A run that is held back has the status of one that hasn't begun. */
function CountLink({ standing, children }: { standing: Standing; children: ReactNode }) {
  const { batchId } = route.useParams();
  return (
    <Link to="/batches/$batchId" params={{ batchId }} search={{ status: standing === "held" ? "pending" : standing }} replace resetScroll={false} className="text-ink hover:underline">
      {children}
    </Link>
  );
}

function About({ batch: { batch_id, app_name, workflow_name, user_id, progress } }: { batch: Batch }) {
  return (
    <Section title="Facts">
      <Facts
        facts={[
          ["Batch", <CopyId key="id" id={batch_id} />],
          [
            "Workflow",
            workflow_name === null ? (
              "several workflows"
            ) : (
              <Link key="workflow" to="/workflows/$app/$name" params={{ app: app_name, name: workflow_name }} className="prose-link">
                {workflow_name}
              </Link>
            ),
          ],
          ["App", app_name],
          ["User", user_id],
          ["Started", <RelativeTime key="started" at={progress.started_at} />],
          progress.finished_at !== null && ["Ended", <RelativeTime key="ended" at={progress.finished_at} />],
        ]}
      />
    </Section>
  );
}

function NotFound({ id }: { id: string }) {
  return (
    <>
      <PageHeader title="Batch not found" />
      <EmptyState title="There is no such batch" action={<Link to="/batches" className={buttonClass()}>All batches</Link>}>
        No batch <code>{id}</code> is visible to you: the id may be mistyped, or it belongs to another user.
      </EmptyState>
    </>
  );
}
