import { Link } from "@tanstack/react-router";
import { Button, buttonClass } from "@/ui/Button";
import { EmptyState } from "@/ui/States";

/** "No runs yet" and "no matching runs" are different messages. */
export function NoRuns({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered) {
    return (
      <EmptyState title="No matching runs" action={<Button onClick={onClear}>Clear the filter</Button>}>
        The filter may hide some runs.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title="No runs have been started yet"
      action={
        <Link to="/workflows" className={buttonClass("primary")}>
          Start a workflow
        </Link>
      }
    >
      Start one here, or from code: <code>await runner.run(ProcessOrder, args, app_name="orders", user_id="ada")</code>.
    </EmptyState>
  );
}
