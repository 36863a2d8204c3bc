import { X } from "lucide-react";
import type { Step } from "@/api/types";
import { titleOf } from "@/model/definition";
import { LOOKS } from "@/model/status";
import { STEP_WORDS, stepKey, unknownOutcome } from "@/model/steps";
import { duration, moment } from "@/model/time";
import { Badge, StatusBadge } from "@/ui/Badge";
import { IconButton } from "@/ui/Button";
import { Clamped } from "@/ui/Clamped";
import { JsonTree } from "@/ui/JsonTree";
import { Facts } from "@/ui/Page";
import { AbsoluteTime } from "@/ui/Time";
import { useRunPage } from "../data";

/** Everything that the journal has of the selected step. */
export function StepPanel({ steps }: { steps: readonly Step[] }) {
  const { search, setSearch, definition } = useRunPage();
  const step = search.step === undefined ? undefined : steps.find((one) => stepKey(one) === search.step);
  if (!step) return null;
  return (
    <section aria-label={`Step ${step.name}`} className="min-w-0 rounded-md border p-3">
      <div className="mb-2 flex items-start gap-3">
        <h2 className="min-w-0 wrap-anywhere">{step.name}</h2>
        <Outcome step={step} />
        <IconButton size="sm" label="Close the step" className="ml-auto" onClick={() => { setSearch({ step: undefined }); }}>
          <X size={14} aria-hidden />
        </IconButton>
      </div>
      {step.status === "unknown" && <p className="mb-2 text-failed">{unknownOutcome(step)}</p>}
      <Facts
        facts={[
          ["Transition", titleOf(definition, step.transition)],
          ["Attempts", String(step.attempts)],
          ["Began", <AbsoluteTime key="began" at={step.started_at} />],
          step.finished_at !== null && ["Took", duration(moment(step.finished_at) - moment(step.started_at))],
          step.undo !== null && ["Undo", <code key="undo">{step.undo}</code>],
          step.undone_at !== null && ["Undone", <AbsoluteTime key="undone" at={step.undone_at} />],
          step.error !== null && ["Error", <Clamped key="error" text={step.error} label="error">{(shown) => <span className="whitespace-pre-wrap text-failed">{shown}</span>}</Clamped>],
        ]}
      />
      {step.status === "completed" && (
        <details open className="mt-2">
          <summary className="min-h-6 text-muted">Value</summary>
          {step.value === null ? <p className="text-muted">It returned nothing.</p> : <JsonTree value={step.value} label={`The value of ${step.name}`} depth={2} />}
        </details>
      )}
    </section>
  );
}

function Outcome({ step }: { step: Step }) {
  const look = LOOKS[step.status === "completed" ? "completed" : step.status === "started" ? "running" : "failed"];
  return (
    <>
      <StatusBadge word={STEP_WORDS[step.status]} shape={look.shape} token={look.token} />
      {step.undone_at !== null && <Badge>Undone</Badge>}
    </>
  );
}

/** The steps whose outcome isn't known: a person has to ask the service. */
export function Unknown({ steps }: { steps: readonly Step[] }) {
  const { setSearch } = useRunPage();
  const found = steps.filter((one) => one.status === "unknown");
  if (found.length === 0) return null;
  return (
    <ul aria-label="Steps with an unknown outcome" className="flex flex-col gap-1 rounded-md border border-failed/50 px-3 py-2">
      {found.map((step) => (
        <li key={stepKey(step)} className="flex flex-wrap items-center gap-x-2">
          <span className="min-w-0 wrap-anywhere">{unknownOutcome(step)}</span>
          <button type="button" className="prose-link min-h-6" onClick={() => { setSearch({ step: stepKey(step) }); }}>
            Show the step {step.name}
          </button>
        </li>
      ))}
    </ul>
  );
}
