import type { Progress } from "@/api/types";
import { STANDING_LOOKS, countsText, endedOf, endedText } from "@/model/progress";
import { Stack } from "@/ui/charts";

/** What stands for itself in the bar; the empty rest hasn't begun, or waits. */
const FILLED = ["completed", "failed", "canceled", "running"] as const;

/** How far many runs are, as a bar; as text it says every count. */
export function ProgressBar({ progress, label }: { progress: Progress; label: string }) {
  return (
    <Stack
      label={label}
      said={`${endedText(progress)}: ${countsText(progress)}`}
      value={endedOf(progress)}
      of={progress.total}
      parts={FILLED.map((one) => ({ token: STANDING_LOOKS[one].token, value: progress[one] }))}
    />
  );
}
