import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keys } from "@/api/keys";
import { revokeToken } from "@/api/mutations";
import type { Token } from "@/api/types";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { toast, toastError } from "@/ui/Toast";

/** Asks before: whoever uses the token is out at once. */
export function RevokeButton({ token }: { token: Token }) {
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const revoke = useMutation({
    mutationFn: () => revokeToken(token.id),
    onSuccess: () => {
      toast({ title: `${token.name} is revoked`, tone: "done" });
      setAsking(false);
    },
    onError: (error) => {
      toastError(`${token.name} couldn't be revoked`, error);
    },
    onSettled: () => client.invalidateQueries({ queryKey: keys.tokens }),
  });
  return (
    <>
      <Button size="sm" variant="danger" off={token.revoked_at === null ? null : "It is revoked already."} aria-label={`Revoke ${token.name}`} onClick={() => { setAsking(true); }}>
        Revoke
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title={`Revoke ${token.name}?`}
        description="Whoever uses it is refused from now on. This can't be undone."
        footer={
          <>
            <Button onClick={() => { setAsking(false); }}>Keep it</Button>
            <Button variant="danger" pending={revoke.isPending} onClick={() => { revoke.mutate(); }}>
              Revoke the token
            </Button>
          </>
        }
      />
    </>
  );
}
