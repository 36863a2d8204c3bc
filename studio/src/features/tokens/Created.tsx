import type { CreatedToken } from "@/api/types";
import { Button } from "@/ui/Button";
import { CopyButton } from "@/ui/Copy";
import { Dialog } from "@/ui/Dialog";

/** The secret, shown once: the server keeps only its hash. */
export function Created({ token, onClose }: { token: CreatedToken; onClose: () => void }) {
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={`${token.name} has been created`}
      description="Copy the token now: it isn't shown again, and it can't be looked up."
      footer={
        <Button variant="primary" onClick={onClose}>
          I have it
        </Button>
      }
    >
      <div className="flex items-center gap-2">
        <code className="min-w-0 grow rounded-sm border bg-subtle p-2 break-all select-all">
          {token.token}
        </code>
        <CopyButton text={token.token}>Copy</CopyButton>
      </div>
    </Dialog>
  );
}
