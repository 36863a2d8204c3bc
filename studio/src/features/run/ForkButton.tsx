import { GitFork } from "lucide-react";
import type { Checkpoint } from "@/api/types";
import { GONE, noWay } from "@/model/fork";
import { actOff } from "@/model/rights";
import { Button } from "@/ui/Button";
import { useRunPage } from "./data";
import { useStateAt } from "./state/useStateAt";

/** Prepares a fork at the selected checkpoint; where none can begin, it says why. */
export function ForkButton({ row }: { row: Checkpoint }) {
  const { run, me, setSearch } = useRunPage();
  const never = actOff(me ?? undefined) ?? noWay(row);
  const state = useStateAt(run.workflow_id, never === null ? row : null);
  const off = never ?? (state.loading ? "Its state is still being loaded." : state.error ? "Its state couldn't be loaded." : state.value === null ? GONE : null);
  return (
    <Button size="sm" className="ml-auto" icon={<GitFork size={12} aria-hidden />} off={off} onClick={() => { setSearch({ fork: row.version, at: row.version }); }}>
      Fork from here…
    </Button>
  );
}
