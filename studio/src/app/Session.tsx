import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useEffect } from "react";
import { onSignedOut } from "@/api/client";
import { keys } from "@/api/keys";
import { ApiError } from "@/api/problem";
import { meQuery } from "@/api/queries";
import type { Me } from "@/api/types";
import { LiveProvider } from "@/stream/live";
import { belongTo, onForgotten, useOwner } from "@/ui/personal";
import { ErrorState, LoadingRows } from "@/ui/States";
import { Refused } from "./Refused";
import { SignIn } from "./SignIn";

/** Renders its children for a signed-in user; otherwise the page to sign in, or why Studio is closed. */
export function Session({ children }: { children: (me: Me) => ReactNode }) {
  const client = useQueryClient();
  const { data: me, error, refetch } = useQuery(meQuery());
  useEffect(
    () =>
      onSignedOut(() => {
        // The session ended elsewhere: refetching shows whether a user is still signed in.
        if (client.getQueryData(keys.me) !== undefined) void client.resetQueries({ queryKey: keys.me });
      }),
    [client],
  );
  const owner = useOwner();
  const user = me?.user_id;
  useEffect(() => {
    if (user === undefined || user === owner) return;
    // Another user than before, without a sign-out: the data on this page is the other's.
    if (owner !== null) client.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.me[0] });
    belongTo(user);
  }, [client, user, owner]);
  useEffect(
    () =>
      onForgotten(() => {
        client.clear();
        window.location.reload();
      }),
    [client],
  );
  if (me && me.user_id === owner) {
    return (
      <LiveProvider key={me.user_id} name={me.user_id}>
        {children(me)}
      </LiveProvider>
    );
  }
  if (error instanceof ApiError && error.status === 401) return <SignIn />;
  return (
    <main className="mx-auto max-w-xl p-6">
      {error instanceof ApiError && error.status === 403 ? (
        <Refused error={error} />
      ) : error ? (
        <ErrorState title="Studio can't reach its API" error={error} onRetry={() => void refetch()} />
      ) : (
        <LoadingRows rows={3} label="Loading Studio" />
      )}
    </main>
  );
}
