import { useQuery } from "@tanstack/react-query";
import { workflowsQuery } from "@/api/queries";
import type { Me } from "@/api/types";
import { Checkbox, Select } from "@/ui/fields";
import type { InboxSearch } from "./search";

type Filter = Omit<InboxSearch, "run">;

/** By app, workflow, overdue, and whose: each is part of the address. */
export function Filters({ filter, me, onChange }: { filter: Filter; me: Me | undefined; onChange: (filter: Filter) => void }) {
  const workflows = useQuery(workflowsQuery()).data ?? [];
  const apps = [...new Set([...workflows.map((one) => one.app_name), ...(filter.app_name ? [filter.app_name] : [])])].sort();
  const names = [...new Set([...workflows.filter((one) => !filter.app_name || one.app_name === filter.app_name).map((one) => one.name), ...(filter.workflow ? [filter.workflow] : [])])].sort();
  const title = (name: string) => workflows.find((one) => one.name === name)?.title ?? name;
  return (
    <search aria-label="Filters" className="mb-3 flex flex-wrap items-center gap-x-4 gap-y-2">
      {apps.length > 1 && (
        <Select aria-label="App" className="w-auto" value={filter.app_name ?? ""} onChange={(event) => { onChange({ ...filter, app_name: event.target.value || undefined, workflow: undefined }); }}>
          <option value="">All apps</option>
          {apps.map((app) => (
            <option key={app}>{app}</option>
          ))}
        </Select>
      )}
      <Select aria-label="Workflow" className="w-auto max-w-full" value={filter.workflow ?? ""} onChange={(event) => { onChange({ ...filter, workflow: event.target.value || undefined }); }}>
        <option value="">All workflows</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {title(name)}
          </option>
        ))}
      </Select>
      <Checkbox label="Overdue" checked={filter.overdue ?? false} onChange={(event) => { onChange({ ...filter, overdue: event.target.checked || undefined }); }} />
      {me?.everybody && <Checkbox label="Mine" checked={filter.mine ?? false} onChange={(event) => { onChange({ ...filter, mine: event.target.checked || undefined }); }} />}
    </search>
  );
}
