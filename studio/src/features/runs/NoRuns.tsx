import { Link } from "@tanstack/react-router";
import { Button, buttonClass } from "@/ui/Button";
import { EmptyState } from "@/ui/States";

/** "None yet" and "none like that" are two different things. */
export function NoRuns({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered) {
    return (
      <EmptyState title="No run is like that" action={<Button onClick={onClear}>Clear the filter</Button>}>
        There may be runs that the filter leaves out.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title="Nothing has run yet"
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
