import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import { meQuery, tokensQuery } from "@/api/queries";
import type { Token } from "@/api/types";
import { Badge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import type { Column } from "@/ui/Table";
import { DataTable } from "@/ui/Table";
import { RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";
import { NewTokenDialog } from "./NewTokenDialog";
import { RevokeButton } from "./RevokeButton";
import { makerOf, stateOf } from "./state";

export default function Page() {
  const tokens = useInfiniteQuery({ ...tokensQuery(), refetchInterval: 30_000 });
  const me = useQuery(meQuery()).data;
  const [creating, setCreating] = useState(false);
  const create = (
    <Button variant="primary" icon={<Plus size={14} aria-hidden />} off={me ? null : "Your rights are still being loaded."} onClick={() => { setCreating(true); }}>
      New token
    </Button>
  );
  return (
    <>
      <PageHeader title="Tokens" description="For programs, and for browsers that sign in without an application: each calls the API with its own rights." actions={create} />
      <QueryView query={tokens} errorTitle="The tokens couldn't be loaded">
        {({ pages }) => (pages.every((page) => page.items.length === 0) ? <NoTokens /> : <DataTable label="Tokens" columns={COLUMNS} rows={pages.flatMap((page) => page.items)} rowId={(one) => one.id} />)}
      </QueryView>
      {tokens.hasNextPage && (
        <Button className="mt-3" pending={tokens.isFetchingNextPage} onClick={() => void tokens.fetchNextPage()}>
          Older tokens
        </Button>
      )}
      {creating && me && <NewTokenDialog me={me} onClose={() => { setCreating(false); }} />}
    </>
  );
}

const COLUMNS: readonly Column<Token>[] = [
  { id: "name", header: "Name", cell: (token) => <Name token={token} /> },
  { id: "user", header: "User", cell: (token) => token.user_id },
  { id: "rights", header: "Rights", cell: (token) => <Rights token={token} /> },
  { id: "created", header: "Created by", cell: (token) => <Maker token={token} /> },
  { id: "used", header: "Last used", cell: (token) => <RelativeTime at={token.last_used_at} none="never" /> },
  { id: "expires", header: "Expires", cell: (token) => <RelativeTime at={token.expires_at} none="never" /> },
  { id: "state", header: "State", cell: (token) => <State token={token} /> },
  { id: "actions", header: "Actions", className: "text-right", cell: (token) => <RevokeButton token={token} /> },
];

function Name({ token }: { token: Token }) {
  return (
    <>
      <span className="font-medium">{token.name}</span> <code className="text-muted">{token.prefix}…</code>
    </>
  );
}

function Rights({ token }: { token: Token }) {
  const whose = token.everybody ? "all users' runs" : "own runs";
  return (
    <>
      {token.role}, {whose}
      {token.apps && <span className="text-muted"> of {token.apps.join(", ")}</span>}
    </>
  );
}

function Maker({ token }: { token: Token }) {
  return (
    <>
      {makerOf(token)}
      {token.descendants > 0 && <span className="text-muted"> · created {token.descendants} more</span>}
    </>
  );
}

const TONES = { Active: "border-completed! text-completed!", Expired: "", Revoked: "border-failed! text-failed!" } as const;

function State({ token }: { token: Token }) {
  const state = stateOf(token, useNow(60_000));
  return <Badge className={TONES[state]}>{state}</Badge>;
}

function NoTokens() {
  return (
    <EmptyState title="No tokens yet">
      Make one here, or with <code>stepwell tokens create NAME</code>. A program sends it as <code>Authorization: Bearer sw_…</code>.
    </EmptyState>
  );
}
