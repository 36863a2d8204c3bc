import type { RunStatus } from "@/api/types";
import { STATUS_NAMES, STATUSES } from "@/model/status";
import type { WebhooksSearch } from "./search";

/** By status; by route, where one is chosen. */
export function Filter({ search, onChange }: { search: WebhooksSearch; onChange: (search: WebhooksSearch) => void }) {
  return (
    <form className="mb-3 flex flex-wrap items-center gap-3" onSubmit={(event) => { event.preventDefault(); }}>
      <label className="inline-flex items-center gap-2">
        Status
        <select
          value={search.status ?? ""}
          className="min-h-8 rounded-sm border border-control bg-surface px-2"
          onChange={(event) => { onChange({ ...search, status: event.target.value || undefined, delivery: undefined }); }}
        >
          <option value="">any</option>
          {STATUS_NAMES.map((status: RunStatus) => (
            <option key={status} value={status}>
              {STATUSES[status].word}
            </option>
          ))}
        </select>
      </label>
      <label className="inline-flex items-center gap-2">
        Route
        <input
          value={search.route ?? ""}
          placeholder="any"
          className="min-h-8 w-40 rounded-sm border border-control bg-surface px-2"
          onChange={(event) => { onChange({ ...search, route: event.target.value || undefined, delivery: undefined }); }}
        />
      </label>
    </form>
  );
}
