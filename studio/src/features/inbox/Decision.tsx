import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { keys } from "@/api/keys";
import { asksQuery, historyQuery, meQuery, runQuery, workflowQuery } from "@/api/queries";
import type { Ask, Run } from "@/api/types";
import { AnswerPanel } from "@/blocks/answer/AnswerPanel";
import { statusSentence } from "@/model/why";
import { Button } from "@/ui/Button";
import { CopyId, shortId } from "@/ui/Copy";
import { JsonTree } from "@/ui/JsonTree";
import { Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { toast } from "@/ui/Toast";
import { useNow } from "@/ui/useNow";
import { Concerns } from "./Concerns";

/** The question, its context, and the answer. */
export function Decision({ id, waits, onNext }: { id: string; waits: boolean; onNext: () => void }) {
  const run = useQuery(runQuery(id));
  return (
    <QueryView query={run} errorTitle="The run couldn't be loaded">
      {(found) => (
        <>
          <Head run={found} />
          <Section title="What it concerns">
            <Concerns id={id} version={found.version} />
          </Section>
          <Answer run={found} waits={waits} onNext={onNext} />
          <details>
            <summary className="min-h-6 text-muted">What the run was started with</summary>
            <JsonTree value={found.args} label="Args" />
          </details>
        </>
      )}
    </QueryView>
  );
}

function Head({ run }: { run: Run }) {
  const now = useNow();
  const definition = useQuery({ ...workflowQuery(run.app_name, run.workflow_name), staleTime: 60_000 }).data;
  return (
    <div className="mb-4">
      <div className="flex flex-wrap items-center gap-x-3">
        <h2 className="wrap-anywhere">{run.subject ?? definition?.title ?? run.workflow_name}</h2>
        {run.subject !== null && <span className="text-muted">{definition?.title ?? run.workflow_name}</span>}
        <CopyId id={run.workflow_id}>
          <Link to="/runs/$workflowId" params={{ workflowId: run.workflow_id }} className="prose-link">
            run <code>{shortId(run.workflow_id)}</code>
          </Link>
        </CopyId>
      </div>
      <p className="text-muted">{statusSentence({ run }, now)}</p>
    </div>
  );
}

const NO_ASKS: readonly Ask[] = [];

function Answer({ run, waits, onNext }: { run: Run; waits: boolean; onNext: () => void }) {
  const client = useQueryClient();
  const { workflow_id: id } = run;
  const me = useQuery(meQuery()).data ?? null;
  const rows = useQuery(historyQuery(id, { newest: true, limit: 50 })).data ?? [];
  const widgets = useQuery({ ...workflowQuery(run.app_name, run.workflow_name), staleTime: 60_000 }).data?.ui ?? [];
  const asked = useQuery({ ...asksQuery(id), queryKey: [...keys.run(id), "asks", run.place, run.version], enabled: run.status === "waiting" });
  const asks = run.status === "waiting" ? (asked.data ?? NO_ASKS) : NO_ASKS;
  const over = run.status !== "waiting" || (!waits && asked.isSuccess && asks.length === 0);
  const sent = () => {
    toast({ title: "Answered", tone: "done" });
    void client.invalidateQueries({ queryKey: keys.waiting });
    onNext();
  };
  return (
    <div className="mb-6">
      <AnswerPanel run={run} rows={rows} asks={asks} widgets={widgets} me={me} onSent={sent} />
      {over && <Settled onNext={onNext} />}
    </div>
  );
}

function Settled({ onNext }: { onNext: () => void }) {
  return (
    <div className="mt-2 flex flex-wrap items-center gap-3">
      <p>The run no longer waits for an answer.</p>
      <Button size="sm" onClick={onNext}>
        Next question
      </Button>
    </div>
  );
}
