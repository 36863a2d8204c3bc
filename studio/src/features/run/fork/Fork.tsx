import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { GitFork } from "lucide-react";
import { useId, useRef, useState } from "react";
import { forkRun } from "@/api/mutations";
import { ApiError } from "@/api/problem";
import type { Checkpoint, Json } from "@/api/types";
import { countText, count, diff } from "@/model/diff";
import { type Edited, GONE, editedOf, faultText, noWay } from "@/model/fork";
import { actOff } from "@/model/rights";
import { Button, buttonClass } from "@/ui/Button";
import { readJson, writeJson } from "@/ui/form/json";
import { Section } from "@/ui/Page";
import { randomText } from "@/ui/random";
import { EmptyState, ErrorState, LoadingRows } from "@/ui/States";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";
import { rowTitle } from "../Selected";
import { Changes } from "../state/Changes";
import { useStateAt } from "../state/useStateAt";
import { JsonInput } from "./JsonInput";

/** A fork that is being prepared: the state and args of then in editors, what is changed in them, and the button that starts it. */
export default function Fork({ version }: { version: number }) {
  const { run, rows, known, me } = useRunPage();
  const row = rows.find((one) => one.version === version) ?? null;
  const way = row && noWay(row);
  const state = useStateAt(run.workflow_id, row && way === null ? row : null);
  if (!row) return known.loadingOlder ? <LoadingRows label="Loading the checkpoint" /> : <None why={`There is no checkpoint ${String(version)}, or it isn't loaded.`} />;
  if (way !== null) return <None why={way} />;
  if (state.error) return <ErrorState error={state.error} title="The state couldn't be loaded" onRetry={state.refetch} />;
  if (state.loading || !me) return <LoadingRows label="Loading the state" />;
  return state.value === null ? <None why={GONE} /> : <Prepared row={row} state={state.value} />;
}

function None({ why }: { why: string }) {
  return (
    <EmptyState title="No fork can begin here" action={<Back />}>
      {why}
    </EmptyState>
  );
}

function Back() {
  const { run, search } = useRunPage();
  return (
    <Link to="/runs/$workflowId" params={{ workflowId: run.workflow_id }} search={{ ...search, fork: undefined }} className={buttonClass()}>
      Back to the run
    </Link>
  );
}

function Prepared({ row, state }: { row: Checkpoint; state: Json }) {
  const { run, definition, me } = useRunPage();
  const args = run.args;
  // What was loaded first stays the original: a refetch doesn't change what is being edited.
  const [original] = useState({ state, args });
  const [texts, setTexts] = useState({ state: writeJson(state), args: writeJson(args) });
  const edited = { state: editedOf(texts.state, original.state, readJson), args: editedOf(texts.args, original.args, readJson) };
  const { start, pending, error } = useFork(row.version);
  const faults = faultsOf(error);
  const unusable = edited.state.kind === "unusable" || edited.args.kind === "unusable";
  const off = actOff(me ?? undefined) ?? (unusable ? "What is in the editor can't be used yet." : null);
  const heading = useId();
  return (
    <section aria-labelledby={heading} className="max-w-6xl pt-2">
      <h2 id={heading}>Fork from checkpoint {row.version}</h2>
      <p className="mb-3 text-muted">
        After {rowTitle(row, definition)}. A new run begins in <code>{row.target}</code>, with this state and the documents of then. This run stays as it is. Steps run again, and what the run has done outside isn&apos;t undone.
        {definition && definition.version !== run.workflow_version && ` It goes by the code that is here, version ${String(definition.version)}; the run's is ${String(run.workflow_version)}.`}
      </p>
      <div className="grid gap-x-8 lg:grid-cols-2">
        <div className="min-w-0">
          <JsonInput label="State" rows={12} text={texts.state} edited={edited.state} faults={faults.state} onChange={(text) => { setTexts({ ...texts, state: text }); }} />
          {original.args === null ? (
            <p className="mb-4 text-muted">The workflow takes no args.</p>
          ) : (
            <JsonInput label="Args" rows={6} text={texts.args} edited={edited.args} faults={faults.args} onChange={(text) => { setTexts({ ...texts, args: text }); }} />
          )}
        </div>
        <div className="min-w-0">
          <Difference title="Changes to the state" original={original.state} edited={edited.state} none="The fork begins with the state of then." />
          {original.args !== null && <Difference title="Changes to the args" original={original.args} edited={edited.args} none="The fork has the args of the run." />}
        </div>
      </div>
      {error && faults.other && <ErrorState error={error} title="The fork wasn't started" />}
      <div className="mt-3 flex flex-wrap gap-2">
        <Button variant="primary" icon={<GitFork size={14} aria-hidden />} off={off} pending={pending} onClick={() => { start(valueOf(edited.state), valueOf(edited.args)); }}>
          Start the fork
        </Button>
        <Back />
      </div>
    </section>
  );
}

const valueOf = (edited: Edited): Json | undefined => (edited.kind === "changed" ? edited.value : undefined);

/** Starts it, and opens it. The same fork, sent again because no answer arrived, counts once; another one has another key. */
function useFork(checkpoint: number) {
  const { run } = useRunPage();
  const navigate = useNavigate();
  const sent = useRef({ body: "", key: "" });
  const mutation = useMutation({
    mutationFn: (given: { state?: Json; args?: Json }) => {
      const body = JSON.stringify(given);
      if (sent.current.body !== body || sent.current.key === "") sent.current = { body, key: `studio-fork-${randomText()}` };
      return forkRun(run.workflow_id, { checkpoint, ...given }, sent.current.key);
    },
    onSuccess: (fork) => {
      toast({ title: "The fork has been started", tone: "done" });
      void navigate({ to: "/runs/$workflowId", params: { workflowId: fork.workflow_id } });
    },
  });
  const start = (state: Json | undefined, args: Json | undefined) => {
    mutation.mutate({ ...(state === undefined ? {} : { state }), ...(args === undefined ? {} : { args }) });
  };
  return { start, pending: mutation.isPending, error: mutation.error };
}

/** The server's faults by the editor that they belong to; `other`: they belong to none. */
function faultsOf(error: Error | null): { state: readonly string[]; args: readonly string[]; other: boolean } {
  const fields = error instanceof ApiError ? error.fields : [];
  const of = error instanceof ApiError && error.problem.type === "urn:stepwell:invalid-state" ? "state" : "args";
  if (error instanceof ApiError && of === "state" && fields.length === 0) return { state: [error.message], args: [], other: false };
  const said = fields.map((one) => faultText(one, of));
  return { state: of === "state" ? said : [], args: of === "args" ? said : [], other: fields.length === 0 };
}

function Difference({ title, original, edited, none }: { title: string; original: Json; edited: Edited; none: string }) {
  const changes = edited.kind === "changed" ? diff(original, edited.value) : [];
  return (
    <Section title={title}>
      <p role="status" className="text-muted">
        {edited.kind === "unusable" ? "What is in the editor can't be used yet." : edited.kind === "same" ? none : changes.length === 0 ? "Only the order of the keys differs." : countText(count(changes))}
      </p>
      {changes.length > 0 && <Changes changes={changes} />}
    </Section>
  );
}
