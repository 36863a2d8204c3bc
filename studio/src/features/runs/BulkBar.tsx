import type { BulkAction, Me, Run } from "@/api/types";
import { counted, eligible } from "@/model/actions";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";

export interface BulkBarProps {
  me: Me | undefined;
  rows: readonly Run[];
  selected: ReadonlySet<string>;
  /** All runs that match the filter, including those that aren't loaded. */
  all: boolean;
  more: boolean;
  /** Why the filter itself can't be acted on; null: it can. */
  allOff: string | null;
  onAll: () => void;
  onClear: () => void;
  onAct: (action: BulkAction) => void;
}

/** The selection and the actions on it: each button shows how many runs its action could affect. */
export function BulkBar({ me, rows, selected, all, more, allOff, onAll, onClear, onAct }: BulkBarProps) {
  const chosen = rows.filter((run) => selected.has(run.workflow_id));
  return (
    <div role="region" aria-label="Selection" className="sticky bottom-0 z-20 mt-3 flex flex-wrap items-center gap-2 border-t bg-surface py-2">
      <span role="status" className="font-medium">
        {all ? "All runs of this filter are selected" : `${counted(selected.size, "run")} selected`}
      </span>
      {!all && more && (
        <Button size="sm" off={allOff} onClick={onAll}>
          Select all of this filter
        </Button>
      )}
      <Button size="sm" variant="ghost" onClick={onClear}>
        Clear selection
      </Button>
      <span className="grow" />
      {(["retry", "cancel"] as const).map((action) => {
        const able = chosen.filter((run) => eligible(action, run.status)).length;
        const verb = action === "retry" ? "Retry" : "Cancel";
        const off = actOff(me) ?? (all || able > 0 ? null : `None of them can be ${action === "retry" ? "retried" : "cancelled"}.`);
        return (
          <Button key={action} variant={action === "cancel" ? "danger" : "primary"} off={off} onClick={() => { onAct(action); }}>
            {verb} {all ? "all…" : `${String(able)}…`}
          </Button>
        );
      })}
    </div>
  );
}
