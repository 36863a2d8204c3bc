import { PauseList } from "@/blocks/pauses/PauseList";
import { usePauses } from "@/blocks/pauses/usePauses";
import { Section } from "@/ui/Page";
import { ErrorState } from "@/ui/States";

/** What is paused, with Resume. Nothing if nothing is. */
export function Paused() {
  const { data, error, refetch } = usePauses();
  if (error) return <ErrorState error={error} title="What is paused couldn't be loaded" onRetry={() => void refetch()} />;
  if (!data || data.length === 0) return null;
  return (
    <Section title="Paused">
      <PauseList pauses={data} />
    </Section>
  );
}
