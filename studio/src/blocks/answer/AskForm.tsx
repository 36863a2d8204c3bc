import { lazy, Suspense, useMemo, useState } from "react";
import type { Json, Run } from "@/api/types";
import { type Control, type Wait, labelOf, waitId } from "@/model/answer";
import { Button } from "@/ui/Button";
import { code } from "@/ui/code";
import { withWidgets } from "@/ui/form/declared";
import type { Schema } from "@/ui/form/schema";
import { withoutSecrets } from "@/ui/form/secrets";
import { LoadingRows } from "@/ui/States";
import { draftOf, dropDraft, keepDraft } from "./drafts";
import { useSend } from "./useSend";

const SchemaForm = lazy(code(() => import("@/ui/form/SchemaForm")));

export interface AskFormProps {
  wait: Wait;
  control: Extract<Control, { kind: "form" }>;
  /** Why it can no longer be sent: what was typed stays visible and can be copied. */
  lock: string | null;
  /** Why this person may not answer. */
  off: string | null;
  onDirty: (dirty: boolean) => void;
  onSent: (run: Run) => void;
}

/** The form of one question: from the payload's schema, with the widgets that were declared for it. */
export function AskForm({ wait, control, lock, off, onDirty, onSent }: AskFormProps) {
  const { ask, widget } = control;
  const id = waitId(wait, ask.transition);
  const sending = useSend(wait, ask.transition, (run) => {
    onDirty(false);
    onSent(run);
  });
  const schema = useMemo(() => (widget ? withWidgets((ask.schema ?? {}) as Schema, widget) : ((ask.schema ?? {}) as Schema)), [ask.schema, widget]);
  const [draft] = useState(() => draftOf(id));
  const initial = sending.sent === 0 ? draft : undefined;
  return (
    <div className="flex max-w-2xl min-w-0 flex-col gap-2">
      {ask.description && <p className="max-w-prose text-muted">{ask.description}</p>}
      {initial !== undefined && !lock && <p className="text-xs text-muted">This is what you had typed before.</p>}
      <Suspense fallback={<LoadingRows rows={3} label="Loading the form" />}>
        <SchemaForm
          id={`ask-${wait.workflowId}-${ask.transition}-${String(wait.entered)}-${String(sending.sent)}`}
          schema={schema}
          initial={initial}
          locked={lock ?? off}
          errors={sending.fields}
          errorPrefix="data"
          onChange={(value) => {
            keepDraft(id, withoutSecrets(value, schema));
            onDirty(true);
          }}
          onSubmit={(value) => { sending.send((value ?? null) as Json); }}
        >
          {lock ? (
            <Button
              onClick={() => {
                dropDraft(id);
                onDirty(false);
              }}
            >
              Discard what I typed
            </Button>
          ) : (
            <Button type="submit" variant="primary" pending={sending.pending} off={off}>
              {labelOf(control)}
            </Button>
          )}
          {sending.problem && (
            <p role="alert" className="wrap-anywhere text-failed">
              {sending.problem}
            </p>
          )}
        </SchemaForm>
      </Suspense>
    </div>
  );
}
