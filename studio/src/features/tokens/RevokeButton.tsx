import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { keys } from "@/api/keys";
import { revokeToken } from "@/api/mutations";
import type { Token } from "@/api/types";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { toast, toastError } from "@/ui/Toast";
import { consequenceOf } from "./state";

/** Asks for confirmation: all users of the token lose access at once, and of those that were created with it. */
export function RevokeButton({ token }: { token: Token }) {
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const revoke = useMutation({
    mutationFn: () => revokeToken(token.id),
    onSuccess: () => {
      toast({ title: `${token.name} has been revoked`, tone: "done" });
      setAsking(false);
    },
    onError: (error) => {
      toastError(`${token.name} couldn't be revoked`, error);
    },
    onSettled: () => client.invalidateQueries({ queryKey: keys.tokens }),
  });
  return (
    <>
      <Button size="sm" variant="danger" off={token.revoked_at === null ? null : "It has been revoked already."} aria-label={`Revoke ${token.name}`} onClick={() => { setAsking(true); }}>
        Revoke
      </Button>
      <Dialog
        open={asking}
        onOpenChange={setAsking}
        title={`Revoke ${token.name}?`}
        description={consequenceOf(token.descendants)}
        footer={
          <>
            <Button onClick={() => { setAsking(false); }}>Keep it</Button>
            <Button variant="danger" pending={revoke.isPending} onClick={() => { revoke.mutate(); }}>
              {token.descendants === 0 ? "Revoke the token" : `Revoke ${String(token.descendants + 1)} tokens`}
            </Button>
          </>
        }
      />
    </>
  );
}
