import { ApiError } from "@/api/problem";
import { ErrorState } from "@/ui/States";

/** Why an action was refused, in the dialog that asked for it; it stays until the next try. */
export function Refusal({ error, title }: { error: Error | null; title: string }) {
  if (error === null || (error instanceof ApiError && error.status === 401)) return null;
  return (
    <div className="mt-3">
      <ErrorState error={error} title={title} />
    </div>
  );
}
