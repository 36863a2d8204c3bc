import { Link } from "@tanstack/react-router";
import type { RecentRun } from "@/api/types";
import { OutcomeStrip } from "@/ui/charts";
import { useNow } from "@/ui/useNow";
import { outcomesOf, outcomeWords } from "./outcomes";

/** The outcomes of a workflow's last runs. */
export function RecentStrip({ recent }: { recent: readonly RecentRun[] }) {
  const now = useNow(60_000);
  if (recent.length === 0) return <span className="text-xs text-muted">no runs yet</span>;
  return (
    <OutcomeStrip
      label={outcomeWords(recent)}
      outcomes={outcomesOf(recent, now)}
      link={(outcome, bar) => (
        <Link to="/runs/$workflowId" params={{ workflowId: outcome.id }} tabIndex={-1} className="block">
          {bar}
        </Link>
      )}
    />
  );
}
