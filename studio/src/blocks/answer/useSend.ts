import { useMutation } from "@tanstack/react-query";
import { createContext, useContext, useRef, useState } from "react";
import { signalRun } from "@/api/mutations";
import { ApiError } from "@/api/problem";
import type { Json, ProblemField, Run } from "@/api/types";
import { type Wait, refusal, waitId } from "@/model/answer";
import { randomText } from "@/ui/random";
import { dropDraft } from "./drafts";

/** Sends one answer; the key makes it count once. */
export type Sender = (wait: Wait, transition: string, data: Json, key: string) => Promise<Run>;

/** By default an answer is a signal; the inbox sends it as the answer to a question. */
export const SenderContext = createContext<Sender>((wait, transition, data, key) => signalRun(wait.workflowId, transition, data, key));

export interface Sending {
  send: (data: Json) => void;
  pending: boolean;
  /** Errors of single fields, as the server reported them. */
  fields: readonly ProblemField[];
  /** Anything else that went wrong. */
  problem: string | null;
  /** How often something was sent: a new number resets the form. */
  sent: number;
}

/**
 * Sends answers to one wait. The same answer, sent again because no response arrived, counts once: its idempotency key
 * changes only after a success.
 */
export function useSend(wait: Wait, transition: string, onSent: (run: Run) => void): Sending {
  const [sent, setSent] = useState(0);
  const sender = useContext(SenderContext);
  const nonce = useRef<string | null>(null);
  const mutation = useMutation({
    mutationFn: (data: Json) => {
      nonce.current ??= randomText();
      return sender(wait, transition, data, `studio-${String(wait.entered)}-${nonce.current}-${String(sent)}`);
    },
    onSuccess: (run) => {
      dropDraft(waitId(wait, transition));
      setSent((before) => before + 1);
      onSent(run);
    },
  });
  const { error } = mutation;
  const fields = error instanceof ApiError ? error.fields : NO_FIELDS;
  return {
    send: (data) => { mutation.mutate(data); },
    pending: mutation.isPending,
    fields,
    problem: error && fields.length === 0 ? (error instanceof ApiError ? refusal(error.problem, mutation.submittedAt) : error.message) : null,
    sent,
  };
}

const NO_FIELDS: readonly ProblemField[] = [];
