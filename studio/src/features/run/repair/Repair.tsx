import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { takenQuery } from "@/api/queries";
import { keys } from "@/api/keys";
import type { Json, JsonSchema } from "@/api/types";
import { labelIn } from "@/model/definition";
import { stillRepairable, repairOff } from "@/model/repair";
import { Button } from "@/ui/Button";
import { IconButton } from "@/ui/Button";
import { QueryView } from "@/ui/QueryView";
import { X } from "lucide-react";
import { useRunPage } from "../data";
import { REPAIR_PARTS, type RepairPart } from "../search";
import { RepairForm } from "./RepairForm";

const LABELS: Record<RepairPart, string> = { data: "Retry with another answer", state: "Retry with another state" };

/** Repairs a failed run in place: the data of the signal with which it failed, or its state, can be edited and retried with. */
export function Repair() {
  const { run, search } = useRunPage();
  // What was typed stays when somebody else retries the run meanwhile.
  const [dirty, setDirty] = useState(false);
  const open = search.repair;
  if (!stillRepairable(run) && !(dirty && open)) return null;
  return (
    <section aria-label="Repair" className="mb-3 flex min-w-0 flex-col gap-3">
      {stillRepairable(run) && <Choices />}
      {open && <Opened key={open} part={open} onDirty={setDirty} />}
    </section>
  );
}

function Choices() {
  const { run, me, view, definition, search, setSearch } = useRunPage();
  return (
    <div className="flex flex-wrap gap-2">
      {REPAIR_PARTS.map((part) => (
        <Button
          key={part}
          size="sm"
          aria-expanded={search.repair === part}
          off={me && repairOff(part, { run, rows: view.rows, definition }, me)}
          onClick={() => { setSearch({ repair: search.repair === part ? undefined : part }); }}
        >
          {LABELS[part]}…
        </Button>
      ))}
    </div>
  );
}

function Opened({ part, onDirty }: { part: RepairPart; onDirty: (dirty: boolean) => void }) {
  const { setSearch } = useRunPage();
  const close = () => {
    onDirty(false);
    setSearch({ repair: undefined });
  };
  return (
    <div role="group" aria-label={LABELS[part]} className="min-w-0 rounded-md border p-3">
      <div className="flex items-start justify-between gap-2">
        <h2>{LABELS[part]}</h2>
        <IconButton size="sm" label="Close" onClick={close}>
          <X size={14} aria-hidden />
        </IconButton>
      </div>
      {part === "data" ? <OfData onDirty={onDirty} onDone={close} /> : <OfState onDirty={onDirty} onDone={close} />}
    </div>
  );
}

interface FormProps {
  onDirty: (dirty: boolean) => void;
  onDone: () => void;
}

function OfData(props: FormProps) {
  const { run, definition } = useRunPage();
  // Read once for each form: another failure, while somebody types, doesn't change what they type in.
  const [version] = useState(run.version);
  const taken = useQuery({ ...takenQuery(run.workflow_id), queryKey: [...keys.run(run.workflow_id), "taken", version], staleTime: Infinity, meta: { live: "in-place" } });
  return (
    <QueryView query={taken} errorTitle="What the transition took couldn't be loaded">
      {(found) =>
        found?.schema ? (
          <>
            <p className="max-w-prose text-muted">
              This is what “{labelIn(definition, found.transition) ?? found.title}” took{found.answered_by !== null && `, from ${found.answered_by}`}. What you send replaces it, for this and all later tries.
            </p>
            <RepairForm part="data" schema={found.schema} value={found.data} {...props} />
          </>
        ) : (
          <p>The transition that failed took no data that could be replaced.</p>
        )
      }
    </QueryView>
  );
}

function OfState(props: FormProps) {
  const { run, definition } = useRunPage();
  const [given] = useState<{ value: Json; schema: JsonSchema | undefined }>({ value: run.state, schema: definition?.state });
  const schema = given.schema ?? definition?.state;
  if (!schema) return <p>The code of this workflow isn't known here: its state can't be checked.</p>;
  return (
    <>
      <p className="max-w-prose text-muted">
        What you send replaces the state of the run. Its journaled steps aren't run again.
        {definition && definition.version !== run.workflow_version && ` The run was begun by version ${String(run.workflow_version)}: give the state as version ${String(definition.version)} has it.`}
      </p>
      <RepairForm part="state" schema={schema} value={given.value} {...props} />
    </>
  );
}
