import { Link } from "@tanstack/react-router";
import { grouped } from "@/model/progress";
import { useRunPage } from "./data";

/** The place of the run among those that were started together: in a batch, or in a group of its parent's. Nothing if it was started alone. */
export function GroupLink() {
  const { run } = useRunPage();
  if (run.group_id === null || run.group_index === null) return null;
  const place = `index ${grouped(run.group_index)}`;
  if (run.parent_id !== null) {
    return (
      <span>
        {place} of{" "}
        <Link to="/runs/$workflowId" params={{ workflowId: run.parent_id }} search={{ tab: "details" }} className="prose-link">
          its group
        </Link>
      </span>
    );
  }
  return (
    <span>
      {place} of{" "}
      <Link to="/batches/$batchId" params={{ batchId: run.group_id }} className="prose-link" title={run.group_id}>
        its batch
      </Link>
    </span>
  );
}
