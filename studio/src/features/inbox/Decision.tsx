import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { keys } from "@/api/keys";
import { answerRun, signalRun } from "@/api/mutations";
import { historyQuery, runQuery, workflowQuery } from "@/api/queries";
import type { Me, Question } from "@/api/types";
import { AnswerPanel } from "@/blocks/answer/AnswerPanel";
import { type Sender, SenderContext } from "@/blocks/answer/useSend";
import { words } from "@/model/definition";
import { type Item, answerOff, asksOf, forWhom, isSignal, mayOpen, placeOf, titleOf } from "@/model/inbox";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { CopyId, shortId } from "@/ui/Copy";
import { JsonTree } from "@/ui/JsonTree";
import { Markdown } from "@/ui/Markdown";
import { Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { RelativeTime } from "@/ui/Time";
import { toast } from "@/ui/Toast";
import { AssignDialog } from "./AssignDialog";
import { Concerns, Documents } from "./Concerns";
import { Due } from "./Due";

export interface DecisionProps {
  item: Item;
  me: Me;
  /** False once it has left the list. */
  asked: boolean;
  onNext: () => void;
}

/** The question, what it concerns, and the answer. Of a run that isn't theirs, a person sees what the question shows. */
export function Decision({ item, me, asked, onNext }: DecisionProps) {
  const [first] = item.questions;
  const opens = mayOpen(first, me);
  const documents = uniqueDocuments(item.questions);
  return (
    <>
      <Head item={item} me={me} opens={opens} asked={asked} />
      {item.questions.map((one) => one.text !== null && <Markdown key={one.transition} className="mb-4" text={one.text} />)}
      {(documents.length > 0 || opens) && (
        <Section title="What it concerns">{documents.length > 0 ? <Documents documents={documents} /> : <Concerns id={item.workflowId} version={item.visit} />}</Section>
      )}
      {opens ? <OwnAnswer item={item} me={me} asked={asked} onNext={onNext} /> : <Answer item={item} me={me} asked={asked} rows={[]} goesOn={false} onNext={onNext} />}
      {opens && <StartedWith id={item.workflowId} />}
    </>
  );
}

function uniqueDocuments(questions: readonly Question[]) {
  return [...new Map(questions.flatMap((one) => one.documents).map((one) => [one.id, one])).values()];
}

function Head({ item, me, opens, asked }: { item: Item; me: Me; opens: boolean; asked: boolean }) {
  const [first] = item.questions;
  const definition = useDefinition(first);
  return (
    <div className="mb-4 flex flex-col gap-1">
      <h2 className="wrap-anywhere">{titleOf(item)}</h2>
      <p className="flex flex-wrap items-center gap-x-3 text-muted">
        {first.subject !== null && <span className="wrap-anywhere">{first.subject}</span>}
        <span>{definition?.title ?? words(first.workflow_name)}</span>
        {opens && (
          <CopyId id={first.workflow_id}>
            <Link to="/runs/$workflowId" params={{ workflowId: first.workflow_id }} className="prose-link">
              run <code>{shortId(first.workflow_id)}</code>
            </Link>
          </CopyId>
        )}
        <span>
          of {first.user_id}, asked <RelativeTime at={first.asked_at} />
        </span>
      </p>
      {item.questions.map((one) => (
        <Whom key={one.transition} question={one} me={me} many={item.questions.length > 1} asked={asked} />
      ))}
    </div>
  );
}

/** Who is asked and until when, with the way to ask somebody else. */
function Whom({ question, me, many, asked }: { question: Question; me: Me; many: boolean; asked: boolean }) {
  const [assigning, setAssigning] = useState(false);
  return (
    <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
      <span>
        {many && `${question.title}: `}
        {forWhom(question, me)}
      </span>
      <Due question={question} />
      <Button size="sm" off={actOff(me) ?? (asked ? null : "It isn't asked any more.")} aria-label={many ? `Assign ${question.title}` : undefined} onClick={() => { setAssigning(true); }}>
        Assign…
      </Button>
      {assigning && <AssignDialog question={question} me={me} onClose={() => { setAssigning(false); }} />}
    </p>
  );
}

function useDefinition({ app_name, workflow_name }: Question) {
  return useQuery({ ...workflowQuery(app_name, workflow_name), staleTime: 60_000, retry: false }).data;
}

type AnswerProps = DecisionProps;

/** With the run's history, which says who was faster. */
function OwnAnswer(props: AnswerProps) {
  const id = props.item.workflowId;
  const rows = useQuery(historyQuery(id, { newest: true, limit: 50 })).data ?? [];
  const goesOn = rows.some((row) => row.version > props.item.visit && (row.target !== null || row.status === "canceled"));
  return <Answer {...props} rows={rows} goesOn={goesOn} />;
}

function Answer({ item, me, asked, rows, goesOn, onNext }: AnswerProps & { rows: React.ComponentProps<typeof AnswerPanel>["rows"]; goesOn: boolean }) {
  const client = useQueryClient();
  const [first] = item.questions;
  const definition = useDefinition(first);
  const place = placeOf(first, definition);
  const sent = () => {
    toast({ title: "Answered", tone: "done" });
    void client.invalidateQueries({ queryKey: keys.waiting });
    void client.invalidateQueries({ queryKey: keys.inbox });
    onNext();
  };
  const send: Sender = (wait, transition, data, key) => {
    const question = item.questions.find((one) => one.transition === transition) ?? first;
    return isSignal(question, me) ? signalRun(wait.workflowId, transition, data, key) : answerRun(wait.workflowId, transition, data, item.visit, key);
  };
  return (
    <SenderContext value={send}>
      <div className="mb-6">
        <AnswerPanel
          run={{ workflow_id: item.workflowId, place, status: "waiting" }}
          wait={{ workflowId: item.workflowId, place, entered: item.visit }}
          rows={rows}
          asks={goesOn ? [] : asksOf(item.questions)}
          widgets={definition?.ui ?? []}
          me={me}
          off={answerOff(first, me)}
          onSent={sent}
        />
        {!asked && (
          <div className="mt-2 flex flex-wrap items-center gap-3">
            <p role="status">{goesOn ? "The run no longer waits for an answer." : "It isn't in the list any more: somebody may have answered it, or assigned it to others."}</p>
            <Button size="sm" onClick={onNext}>
              Next question
            </Button>
          </div>
        )}
      </div>
    </SenderContext>
  );
}

function StartedWith({ id }: { id: string }) {
  const run = useQuery(runQuery(id));
  return (
    <details>
      <summary className="min-h-6 text-muted">What the run was started with</summary>
      <QueryView query={run} errorTitle="The run couldn't be loaded">
        {(found) => <JsonTree value={found.args} label="Args" />}
      </QueryView>
    </details>
  );
}
