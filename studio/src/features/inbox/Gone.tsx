import { Button } from "@/ui/Button";

/** For an address of a question that isn't in the list: it was answered, or it is asked of somebody else. */
export function Gone({ id, onNext }: { id: string; onNext: () => void }) {
  return (
    <div className="flex flex-col items-start gap-3">
      <p>
        The run <code className="wrap-anywhere">{id}</code> asks you nothing now: it may have been answered, or assigned to somebody else.
      </p>
      <Button size="sm" onClick={onNext}>
        Next question
      </Button>
    </div>
  );
}
