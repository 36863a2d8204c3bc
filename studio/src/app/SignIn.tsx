import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { keys } from "@/api/keys";
import { signIn } from "@/api/mutations";
import { Button } from "@/ui/Button";
import { Field, Input } from "@/ui/fields";
import { wordsOf } from "@/ui/States";
import { setPageTitle } from "@/ui/title";

/** The token becomes a cookie that no script can read; it isn't kept anywhere else. */
export function SignIn() {
  const [token, setToken] = useState("");
  const client = useQueryClient();
  const enter = useMutation({
    mutationFn: () => signIn(token.trim()),
    onSuccess: (me) => {
      // Another user's data is removed; the query that this page waits for stays, or it would never get its answer.
      client.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.me[0] });
      client.setQueryData(keys.me, me);
    },
  });
  useEffect(() => { setPageTitle("Sign in"); }, []);
  return (
    <main className="mx-auto flex min-h-dvh max-w-sm flex-col justify-center gap-4 p-6">
      <h1 className="flex items-center gap-2">
        <img src="favicon.svg" alt="" width="24" height="24" />
        Sign in to Stepwell
      </h1>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          enter.mutate();
        }}
      >
        <Field
          label="API token"
          help={
            <>
              It begins with <code>sw_</code>. An admin creates one under Tokens, or with <code>stepwell tokens create</code>.
            </>
          }
          error={enter.error ? said(enter.error) : undefined}
        >
          {(props) => (
            <Input
              {...props}
              type="password"
              autoComplete="current-password"
              autoFocus
              required
              value={token}
              onChange={(event) => { setToken(event.target.value); }}
            />
          )}
        </Field>
        <Button type="submit" variant="primary" pending={enter.isPending}>
          Sign in
        </Button>
      </form>
    </main>
  );
}

function said(error: unknown): string {
  const { title, detail } = wordsOf(error);
  return detail || title;
}
