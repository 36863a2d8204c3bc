import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { waitOf } from "@/model/answer";
import { words } from "@/model/definition";
import { LOOKS, endedAt, isFinished, lookOf } from "@/model/status";
import { moment } from "@/model/time";
import { statusSentence } from "@/model/why";
import { statusText } from "@/stream/status";
import { Badge, StatusBadge } from "@/ui/Badge";
import { CopyId, shortId } from "@/ui/Copy";
import { Duration, RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import { Actions } from "./actions/Actions";
import { useRunPage } from "./data";
import { GroupLink } from "./GroupLink";
import { useHeld } from "./useHeld";

/** Always visible: the run's status, its identity, and the actions on it. */
export function RunHeader() {
  const { run, definition } = useRunPage();
  const workflow = definition?.title ?? words(run.workflow_name);
  useTabTitle(run.subject ?? workflow, run.status);
  return (
    <>
    <header className="sticky top-12 z-20 bg-surface pt-1 pb-1">
      <div className="flex items-start gap-x-4 gap-y-2">
        <div className="min-w-0 grow">
          <h1 className="text-lg leading-6 font-semibold wrap-anywhere">
            {run.subject ?? (
              <Link to="/workflows/$app/$name" params={{ app: run.app_name, name: run.workflow_name }} className="hover:underline">
                {workflow}
              </Link>
            )}
          </h1>
          <Sentence />
        </div>
        <Actions />
      </div>
    </header>
    <Facts />
    </>
  );
}

function Sentence() {
  const { run, view, answerable, children, moreChildren, definition } = useRunPage();
  const { rows } = view;
  const now = useNow();
  const look = LOOKS[lookOf(run, answerable)];
  const openChildren = children.filter((child) => !isFinished(child.run.status) && child.run.status !== "failed").length;
  const entered = rows.find((row) => row.version === waitOf(run, rows).entered);
  const held = useHeld(run);
  const since = run.status === "waiting" && entered ? moment(entered.finished_at) : undefined;
  return (
    <p className="mt-0.5 flex flex-wrap items-baseline gap-x-2">
      <span className="self-center">
        <StatusBadge word={run.status === "waiting" && look === LOOKS.sleeping ? restWord(openChildren, run.due_at) : look.word} shape={look.shape} token={look.token} />
      </span>
      <span className="line-clamp-2 wrap-anywhere sm:line-clamp-3" title={answerable.join(", ") || undefined}>
        {held ?? statusSentence({ run, answerable, openChildren, moreChildren: moreChildren !== null, since, definition }, now)}
      </span>
    </p>
  );
}

/** What a run waits for that doesn't wait for a person. */
function restWord(openChildren: number, due: string | null): string {
  if (openChildren > 0) return openChildren === 1 ? "Waiting for a run" : "Waiting for runs";
  return due === null ? "Waiting for an event" : LOOKS.sleeping.word;
}

function Facts() {
  const { run, definition, children, moreChildren, setSearch } = useRunPage();
  const due = moment(run.due_at);
  const begins = useNow() < (due ?? 0) && run.status === "pending";
  return (
    <div className="mb-3 flex border-b pb-2 flex-wrap items-center gap-x-4 gap-y-1 text-xs text-muted">
      <CopyId id={run.workflow_id} />
      {run.subject !== null && (
        <Link to="/workflows/$app/$name" params={{ app: run.app_name, name: run.workflow_name }} className="prose-link">
          {definition?.title ?? words(run.workflow_name)}
        </Link>
      )}
      <span>
        v{run.workflow_version}
        {definition && definition.version !== run.workflow_version && ` (the code here is v${String(definition.version)})`}
      </span>
      <span>
        {begins ? "created" : "started"} <RelativeTime at={run.created_at} />
      </span>
      {!begins && (
        <span>
          {run.status === "failed" ? "failed after" : isFinished(run.status) ? "took" : "for"} <Duration from={run.created_at} to={endedAt(run)} />
        </span>
      )}
      <span>by {run.user_id}</span>
      {run.forked_from && (
        <span>
          forked from{" "}
          <Link to="/runs/$workflowId" params={{ workflowId: String(run.forked_from[0]) }} search={{ tab: "history", at: Number(run.forked_from[1]) }} className="prose-link" title={String(run.forked_from[0])}>
            {shortId(String(run.forked_from[0]))} at checkpoint {run.forked_from[1]}
          </Link>
        </span>
      )}
      {run.parent_id && (
        <span>
          part of{" "}
          <Link to="/runs/$workflowId" params={{ workflowId: run.parent_id }} className="prose-link">
            {shortId(run.parent_id)}
          </Link>
        </span>
      )}
      <GroupLink />
      {children.length > 0 && (
        <button type="button" className="prose-link min-h-6" onClick={() => { setSearch({ tab: "details" }); }}>
          started {children.length}
          {moreChildren ? "+" : ""} {children.length === 1 && !moreChildren ? "run" : "runs"}
        </button>
      )}
      {run.labels.map((label) => (
        <Badge key={label}>{label}</Badge>
      ))}
      <Live />
    </div>
  );
}

function Live() {
  const { known, run } = useRunPage();
  const now = useNow();
  if (isFinished(run.status) || known.live.state === "live" || known.live.state === "ended") return null;
  return <span role="status">{statusText(known.live, now)}</span>;
}

function useTabTitle(title: string, status: keyof typeof LOOKS): void {
  useEffect(() => {
    document.title = `${LOOKS[status].word}: ${title} · Stepwell`;
  }, [title, status]);
}
