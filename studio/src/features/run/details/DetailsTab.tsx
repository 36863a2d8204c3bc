import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { explainQuery } from "@/api/queries";
import { useAsked } from "@/blocks/asked";
import { titleOf, words } from "@/model/definition";
import { LOOKS, lookOf } from "@/model/status";
import { nameOf } from "@/model/subject";
import { Badge, StatusBadge } from "@/ui/Badge";
import { CodeBlock } from "@/ui/CodeBlock";
import { CopyButton, shortId } from "@/ui/Copy";
import { JsonTree } from "@/ui/JsonTree";
import { Facts, Section } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { AbsoluteTime } from "@/ui/Time";
import { useRunPage } from "../data";
import { Stack } from "../Selected";
import { useTrace } from "../useTrace";
import { Groups } from "./Groups";

/** Its args, its result, the reasons for its state, and all its names and times. */
export function DetailsTab() {
  const { run } = useRunPage();
  return (
    <div className="grid min-w-0 gap-x-8 lg:grid-cols-2">
      <div className="min-w-0">
        <Why />
        {run.error !== null && (
          <Section title="Error">
            <CodeBlock code={run.error} label="Error" wrap />
            <LastStack />
          </Section>
        )}
        <Value title="Args" value={run.args} none="It takes no args." />
        <Value title="Result" value={run.result} none={run.status === "completed" ? "It returned nothing." : "None yet."} />
        <Groups />
        <ChildrenList />
      </div>
      <div className="min-w-0">
        <Section title="Names and times">
          <AllFacts />
        </Section>
      </div>
    </div>
  );
}

function LastStack() {
  const { view } = useRunPage();
  const trace = useTrace(view.rows.findLast((row) => row.status === "failed") ?? null);
  return trace ? <Stack trace={trace} /> : null;
}

function Why() {
  const { run } = useRunPage();
  const explain = useQuery(explainQuery(run.workflow_id));
  return (
    <Section title="Why it is in this state">
      <QueryView query={explain} errorTitle="The explanation couldn't be loaded">
        {({ reasons }) => (
          <ul className="list-disc pl-5">
            {reasons.map((reason) => (
              <li key={reason} className="wrap-anywhere">
                {reason}
              </li>
            ))}
          </ul>
        )}
      </QueryView>
    </Section>
  );
}

function Value({ title, value, none }: { title: string; value: unknown; none: string }) {
  return <Section title={title}>{value === null ? <p className="text-muted">{none}</p> : <JsonTree value={value} label={title} depth={3} />}</Section>;
}

function ChildrenList() {
  const { children, moreChildren } = useRunPage();
  const asked = useAsked();
  if (children.length === 0) return null;
  return (
    <Section title="Runs that it started">
      <ul className="flex flex-col gap-1">
        {children.map(({ run, label, callback }) => {
          const look = LOOKS[lookOf(run, asked(run))];
          return (
            <li key={run.workflow_id} className="flex flex-wrap items-center gap-x-3">
              <StatusBadge word={look.word} shape={look.shape} token={look.token} />
              <Link to="/runs/$workflowId" params={{ workflowId: run.workflow_id }} className="prose-link">
                {label ?? nameOf(run)}
              </Link>
              {callback && <span className="text-xs text-muted">then {words(callback)}</span>}
            </li>
          );
        })}
      </ul>
      {moreChildren && (
        <button type="button" className="prose-link min-h-6" onClick={moreChildren}>
          More
        </button>
      )}
    </Section>
  );
}

function WholeId({ id }: { id: string }) {
  return (
    <span>
      <code className="wrap-anywhere">{id}</code> <CopyButton text={id} label={`Copy ${id}`} />
    </span>
  );
}

/** The title of a transition, with its name for use in code. */
function Named({ name }: { name: string }) {
  const { definition } = useRunPage();
  return (
    <span className="mr-3 inline-block">
      {titleOf(definition, name)} <code className="text-muted">{name}</code>
    </span>
  );
}

function AllFacts() {
  const { run } = useRunPage();
  const facts: (readonly [string, ReactNode] | null)[] = [
    ["Run", <WholeId key="id" id={run.workflow_id} />],
    run.subject === null ? null : ["Subject", <span key="subject" className="wrap-anywhere">{run.subject}</span>],
    ["App", run.app_name],
    ["Workflow", `${run.workflow_name}, version ${String(run.workflow_version)}`],
    ["Place", <code key="place">{run.place}</code>],
    ["Checkpoints", String(run.version + 1)],
    ["Failed attempts here", String(run.attempt)],
    ["User", run.user_id],
    ["Workspace", <WholeId key="workspace" id={run.workspace_id} />],
    run.labels.length === 0 ? null : ["Labels", <span key="labels" className="flex flex-wrap gap-1">{run.labels.map((label) => <Badge key={label}>{label}</Badge>)}</span>],
    ["Priority", String(run.priority)],
    run.idempotency_key === null ? null : ["Idempotency key", <code key="key">{run.idempotency_key}</code>],
    run.parent_id === null ? null : ["Parent", <Link key="parent" to="/runs/$workflowId" params={{ workflowId: run.parent_id }} className="prose-link">{shortId(run.parent_id)}</Link>],
    run.group_id === null ? null : [run.parent_id === null ? "Batch" : "Group", <WholeId key="group" id={run.group_id} />],
    run.waiting_for.length > 0 ? ["Waits for", run.waiting_for.map((name) => <Named key={name} name={name} />)] : null,
    run.due_at !== null ? ["Due", <AbsoluteTime key="due" at={run.due_at} />] : null,
    ["Created", <AbsoluteTime key="created" at={run.created_at} />],
    ["Changed", <AbsoluteTime key="updated" at={run.updated_at} />],
    run.finished_at !== null ? ["Finished", <AbsoluteTime key="finished" at={run.finished_at} />] : run.status === "failed" ? ["Failed", <AbsoluteTime key="failed" at={run.updated_at} />] : null,
  ];
  return <Facts facts={facts} />;
}
