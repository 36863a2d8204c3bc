import { useQuery } from "@tanstack/react-query";
import { countsQuery } from "@/api/queries";
import type { RunFilter, RunStatus } from "@/api/types";
import { STATUSES, STATUS_NAMES } from "@/model/status";
import { StatusShape } from "@/ui/StatusShape";
import { cn } from "@/ui/cn";

/** One button per status, with counts unless there is another filter. */
export function StatusToggles({ filter, onChange }: { filter: RunFilter; onChange: (filter: RunFilter) => void }) {
  const { status: chosen = [], app_name: app, ...others } = filter;
  const counted = !Object.values(others).some((value) => value !== undefined);
  const counts = useQuery({ ...countsQuery(app), enabled: counted }).data;
  const toggle = (status: RunStatus) => {
    const next = chosen.includes(status) ? chosen.filter((one) => one !== status) : [...chosen, status];
    onChange({ ...filter, status: next.length > 0 ? next : undefined });
  };
  return (
    <div role="group" aria-label="Statuses" className="mb-2 flex flex-wrap gap-1.5">
      {STATUS_NAMES.map((status) => {
        const { word, shape, token, meaning } = STATUSES[status];
        const count = counted ? counts?.counts[status] : undefined;
        return (
          <button
            key={status}
            type="button"
            title={meaning}
            aria-pressed={chosen.includes(status)}
            className={cn("inline-flex min-h-7 items-center gap-1.5 rounded-sm border border-line px-2 text-xs hover:bg-hover", "aria-pressed:border-accent aria-pressed:bg-hover aria-pressed:font-semibold")}
            onClick={() => { toggle(status); }}
          >
            <StatusShape shape={shape} token={token} />
            {word}
            {counts && count !== undefined && <span className="text-muted">{count >= counts.capped_at ? `${String(counts.capped_at)}+` : count}</span>}
          </button>
        );
      })}
    </div>
  );
}
