import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { shortId } from "@/ui/Copy";

type Named = Pick<Run, "workflow_id" | "workflow_name"> & Partial<Pick<Run, "subject">>;

/** A link to a run by its subject, or its workflow, and its short id. */
export function RunLink({ run: { workflow_id: id, workflow_name, subject } }: { run: Named }) {
  return (
    <Link to="/runs/$workflowId" params={{ workflowId: id }} className="prose-link min-w-0 wrap-anywhere" title={id}>
      {subject ?? workflow_name} <code>{shortId(id)}</code>
    </Link>
  );
}
