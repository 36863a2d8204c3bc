import type { RunStatus } from "@/api/types";
import { STATUS_NAMES, STATUSES } from "@/model/status";
import { Field, Input, Select } from "@/ui/fields";
import type { WebhooksSearch } from "./search";

/** The filter by status, and by route where one is chosen. */
export function Filter({ search, onChange }: { search: WebhooksSearch; onChange: (search: WebhooksSearch) => void }) {
  return (
    <form className="mb-3 flex flex-wrap items-end gap-3" onSubmit={(event) => { event.preventDefault(); }}>
      <Field label="Status">
        {(props) => (
          <Select {...props} value={search.status ?? ""} onChange={(event) => { onChange({ ...search, status: event.target.value || undefined, delivery: undefined }); }}>
            <option value="">any</option>
            {STATUS_NAMES.map((status: RunStatus) => (
              <option key={status} value={status}>
                {STATUSES[status].word}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <Field label="Route">
        {(props) => <Input {...props} className="w-40" placeholder="any" value={search.route ?? ""} onChange={(event) => { onChange({ ...search, route: event.target.value || undefined, delivery: undefined }); }} />}
      </Field>
    </form>
  );
}
