import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { cancelRun, startRun } from "@/api/mutations";
import { toast, toastError } from "@/ui/Toast";
import type { Start } from "./request";

interface Asked {
  start: Start;
  title: string;
  /** Stay on the form, to start another one. */
  stay: boolean;
}

/** Starts runs. The same request sent again, because no answer arrived, starts no second one. */
export function useStart() {
  const navigate = useNavigate();
  const own = useRef<{ of: string; key: string } | null>(null);
  const keyFor = ({ request, key }: Start) => {
    if (key !== undefined) return key;
    const of = JSON.stringify(request);
    if (own.current?.of !== of) own.current = { of, key: `studio-${random()}` };
    return own.current.key;
  };
  return useMutation({
    mutationFn: ({ start }: Asked) => startRun(start.request, keyFor(start)),
    onSuccess: ({ workflow_id: workflowId, created }, { title, stay }) => {
      // The next start with the same args is a new run.
      own.current = null;
      const open = () => void navigate({ to: "/runs/$workflowId", params: { workflowId } });
      if (!created) toast({ title: "A run with this key exists already", action: stay ? { label: "Open it", run: open } : undefined });
      else if (stay) toast({ title: `${title} has been started`, tone: "done", action: { label: "Open the run", run: open } });
      else toast({ title: `${title} has been started`, tone: "done", action: { label: "Cancel it", run: () => { cancel(workflowId); } } });
      if (!stay) open();
    },
  });
}

function cancel(workflowId: string): void {
  cancelRun(workflowId).then(
    () => { toast({ title: "The run has been cancelled" }); },
    (error: unknown) => { toastError("The run couldn't be cancelled", error); },
  );
}

/** Also on plain http, where browsers have no randomUUID. */
function random(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
