import { TriangleAlert } from "lucide-react";
import type { Question } from "@/api/types";
import { isOverdue } from "@/model/inbox";
import { RelativeTime } from "@/ui/Time";
import { useNow } from "@/ui/useNow";

/** When an answer is due; what is overdue is said by a word and a shape, not by its colour alone. */
export function Due({ question }: { question: Pick<Question, "due_at"> }) {
  const now = useNow();
  if (question.due_at === null) return null;
  if (!isOverdue(question, now)) {
    return (
      <span className="text-xs text-muted">
        due <RelativeTime at={question.due_at} />
      </span>
    );
  }
  return (
    <span className="inline-flex items-center gap-1 text-xs font-medium text-failed">
      <TriangleAlert size={12} aria-hidden /> Overdue: it was due <RelativeTime at={question.due_at} />
    </span>
  );
}
