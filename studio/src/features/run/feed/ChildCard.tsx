import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { asksQuery, documentsQuery, meQuery, runQuery, workflowQuery } from "@/api/queries";
import type { Run } from "@/api/types";
import { AnswerPanel } from "@/blocks/answer/AnswerPanel";
import { useAsked } from "@/blocks/asked";
import { feedOf } from "@/model/fold";
import { LOOKS, isMoving, lookOf } from "@/model/status";
import { statusSentence } from "@/model/why";
import { StatusBadge } from "@/ui/Badge";
import { useNow } from "@/ui/useNow";
import { Content } from "./renderers";

/** A run that this one started: its status, and, if it is shown inline, its documents and questions. */
export function ChildCard({ workflowId, label, inline }: { workflowId: string; label: string; inline: boolean }) {
  // The stream of all runs invalidates these queries when the child moves.
  const run = useQuery({ ...runQuery(workflowId), refetchInterval: (query) => (query.state.data && isMoving(query.state.data.status) ? 5_000 : false) });
  return (
    <div className="max-w-3xl rounded-md border">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2">
        <Link to="/runs/$workflowId" params={{ workflowId }} className="prose-link font-medium wrap-anywhere">
          {label}
        </Link>
        {run.data && <Standing run={run.data} />}
        {run.error && <span className="text-muted">{run.error.message}</span>}
      </div>
      {inline && run.data && <Inside run={run.data} label={label} />}
    </div>
  );
}

function Standing({ run }: { run: Run }) {
  const now = useNow();
  const answerable = useAsked()(run);
  const look = LOOKS[lookOf(run, answerable)];
  return (
    <>
      <StatusBadge word={look.word} shape={look.shape} token={look.token} />
      <span className="min-w-0 text-xs wrap-anywhere text-muted">{statusSentence({ run, answerable }, now)}</span>
    </>
  );
}

/** Its newest documents; all of them are on its own page. */
const SHOWN = 20;

function Inside({ run, label }: { run: Run; label: string }) {
  const documents = useQuery(documentsQuery(run.workflow_id, { limit: SHOWN, newest: true }));
  const items = feedOf(documents.data ?? []);
  const waits = run.status === "waiting" && run.waiting_for.length > 0;
  if (items.length === 0 && !waits) return null;
  return (
    <div role="group" aria-label={`Documents of ${label}`} className="flex flex-col gap-3 border-t border-l-4 border-l-line px-3 py-2">
      {items.map(({ current }) => (
        <div key={current.id}>
          {current.title && <p className="mb-1 text-xs font-medium">{current.title}</p>}
          <Content document={current} child={ChildCard} nested />
        </div>
      ))}
      {waits && <Question run={run} />}
    </div>
  );
}

function Question({ run }: { run: Run }) {
  const asks = useQuery(asksQuery(run.workflow_id));
  const definition = useQuery({ ...workflowQuery(run.app_name, run.workflow_name), staleTime: 60_000 });
  const me = useQuery(meQuery());
  if (!asks.data || !definition.data) return null;
  return <AnswerPanel run={run} rows={[]} asks={asks.data} widgets={definition.data.ui} me={me.data ?? null} onSent={() => void asks.refetch()} />;
}
