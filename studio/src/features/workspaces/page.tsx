import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link, getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { workspacesQuery } from "@/api/queries";
import type { Workspace } from "@/api/types";
import { Button } from "@/ui/Button";
import { CopyId } from "@/ui/Copy";
import { Field, Input } from "@/ui/fields";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";
import type { WorkspacesSearch } from "./search";

const route = getRouteApi("/workspaces");

export default function Page() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const workspaces = useInfiniteQuery({ ...workspacesQuery(search), placeholderData: keepPreviousData, refetchInterval: 30_000 });
  const all = workspaces.data?.pages.flatMap((page) => page.items) ?? [];
  const go = (next: WorkspacesSearch) => void navigate({ to: "/workspaces", search: next, replace: true });
  return (
    <>
      <PageHeader title="Workspaces" description="Each holds runs of a user. The first one of an app is created when the user's first run in it starts." />
      <Filter key={`${search.app_name ?? ""}/${search.user_id ?? ""}`} search={search} onChange={go} />
      <QueryView query={workspaces} errorTitle="The workspaces couldn't be loaded">
        {() => (all.length === 0 ? <NoWorkspaces filtered={Object.values(search).some(Boolean)} onClear={() => { go({}); }} /> : <DataTable label="Workspaces" columns={COLUMNS} rows={all} rowId={(one) => one.id} />)}
      </QueryView>
      {workspaces.hasNextPage && (
        <Button className="mt-3" pending={workspaces.isFetchingNextPage} onClick={() => void workspaces.fetchNextPage()}>
          More workspaces
        </Button>
      )}
    </>
  );
}

const COLUMNS: readonly Column<Workspace>[] = [
  { id: "id", header: "Workspace", cell: (one) => <CopyId id={one.id} /> },
  { id: "title", header: "Title", cell: (one) => one.title },
  { id: "app", header: "App", cell: (one) => one.app_name },
  { id: "user", header: "User", cell: (one) => one.user_id },
  { id: "created", header: "Created", cell: (one) => <RelativeTime at={one.created_at} /> },
  { id: "runs", header: "Runs", cell: (one) => <RunsLink workspace={one} /> },
];

function RunsLink({ workspace }: { workspace: Workspace }) {
  return (
    <Link to="/runs" search={{ workspace_id: workspace.id }} className="prose-link" aria-label={`Open its runs: ${workspace.user_id} in ${workspace.app_name}`}>
      Open its runs
    </Link>
  );
}

/** Applied on submit: names must match exactly, so an incomplete one would find nothing. */
function Filter({ search, onChange }: { search: WorkspacesSearch; onChange: (search: WorkspacesSearch) => void }) {
  const [app, setApp] = useState(search.app_name ?? "");
  const [user, setUser] = useState(search.user_id ?? "");
  return (
    <form
      role="search"
      className="mb-3 flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        onChange({ app_name: app.trim() || undefined, user_id: user.trim() || undefined });
      }}
    >
      <TextField label="App" value={app} onChange={setApp} />
      <TextField label="User" value={user} onChange={setUser} />
      <Button type="submit">Filter</Button>
    </form>
  );
}

function TextField({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <Field label={label}>
      {(props) => <Input {...props} className="w-44" placeholder="any" value={value} onChange={(event) => { onChange(event.target.value); }} />}
    </Field>
  );
}

function NoWorkspaces({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered) return <EmptyState title="No matching workspaces" action={<Button onClick={onClear}>Clear the filters</Button>} />;
  return (
    <EmptyState title="No workspaces yet">
      Start a run for a user to create theirs: <code>await runner.run(ProcessOrder, args, app_name="orders", user_id="ada")</code>.
    </EmptyState>
  );
}
