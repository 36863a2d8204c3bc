import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { retryRun } from "@/api/mutations";
import { ApiError } from "@/api/problem";
import type { Json, JsonSchema, ProblemField } from "@/api/types";
import { draftOf, dropDraft, keepDraft } from "@/blocks/answer/drafts";
import { waitId, waitOf } from "@/model/answer";
import { refusalOf, repairLock } from "@/model/repair";
import { Button } from "@/ui/Button";
import { withoutSecrets } from "@/ui/form/secrets";
import { SchemaForm } from "@/ui/SchemaForm";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";
import type { RepairPart } from "../search";

export interface RepairFormProps {
  part: RepairPart;
  schema: JsonSchema;
  /** As it is stored: the beginning, unless something was typed before. */
  value: Json;
  onDirty: (dirty: boolean) => void;
  onDone: () => void;
}

/** The form, from the schema; after a refusal it stays as it is, and says why. */
export function RepairForm({ part, schema, value, onDirty, onDone }: RepairFormProps) {
  const { run, view, store } = useRunPage();
  const id = run.workflow_id;
  const [draftId] = useState(() => waitId(waitOf(run, view.rows), `repair ${part}`));
  const [draft, setDraft] = useState(() => draftOf(draftId));
  const [begun, setBegun] = useState(0);
  const drop = () => {
    dropDraft(draftId);
    onDirty(false);
  };
  const retry = useMutation({
    mutationFn: (sent: Json) => retryRun(id, { [part]: sent }),
    onSuccess: () => {
      drop();
      toast({ title: part === "data" ? "Another attempt begins, with this answer" : "Another attempt begins, with this state", tone: "done" });
      onDone();
      return store.look();
    },
    // Somebody may have retried or cancelled it: then the page shows that too.
    onError: () => store.look(),
  });
  const lock = repairLock(run);
  return (
    <div className="mt-2 flex max-w-2xl min-w-0 flex-col gap-2">
      {draft !== undefined && !lock && <p className="text-xs text-muted">This is what you had typed before.</p>}
      <SchemaForm
        id={`repair-${part}-${String(begun)}`}
        schema={schema}
        initial={draft ?? value}
        begin={part === "state" ? "json" : "form"}
        locked={lock}
        errors={fieldsOf(retry.error)}
        errorPrefix={part}
        onChange={(typed) => {
          keepDraft(draftId, withoutSecrets(typed, schema));
          onDirty(true);
        }}
        onSubmit={(typed) => { retry.mutate((typed ?? null) as Json); }}
      >
        {!lock && (
          <Button type="submit" variant="primary" pending={retry.isPending}>
            Retry with this
          </Button>
        )}
        <Button
          onClick={() => {
            drop();
            retry.reset();
            if (lock) onDone();
            setDraft(undefined);
            setBegun(begun + 1);
          }}
        >
          {lock ? "Discard what I typed" : "Start over"}
        </Button>
        <p role="alert" className="w-full wrap-anywhere text-failed empty:hidden">
          {refusalOf(retry.error instanceof ApiError ? retry.error.problem : retry.error)}
        </p>
      </SchemaForm>
    </div>
  );
}

const NO_FIELDS: readonly ProblemField[] = [];

function fieldsOf(error: unknown): readonly ProblemField[] {
  return error instanceof ApiError ? error.fields : NO_FIELDS;
}
