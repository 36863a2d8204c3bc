import { useQuery } from "@tanstack/react-query";
import { countsQuery, meQuery } from "@/api/queries";
import { Misfits } from "@/blocks/misfits/Misfits";
import { PageHeader, Section } from "@/ui/Page";
import { Pane } from "@/ui/Pane";
import { Broken } from "./Broken";
import { FirstSteps } from "./FirstSteps";
import { NeedsYou } from "./NeedsYou";
import { Next } from "./Next";
import { Now } from "./Now";
import { Paused } from "./Paused";
import { StandsStill } from "./StandsStill";
import { Throughput } from "./Throughput";
import { Workers } from "./Workers";

/** First what waits for the reader, then failures, current runs, throughput, and upcoming ticks. */
export default function Page() {
  const me = useQuery(meQuery()).data;
  const counts = useQuery(countsQuery()).data;
  const empty = counts !== undefined && Object.values(counts.counts).every((count) => count === 0);
  return (
    <>
      <PageHeader title="Home" />
      {empty && me && <FirstSteps me={me} />}
      {/* Where there is room, what needs action is beside what only informs. */}
      <div className="grid gap-x-8 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <div className="min-w-0">
          <Part name="Waiting for you">
            <NeedsYou />
          </Part>
          <Pane name="What is paused">
            <Paused />
          </Pane>
          {me && (
            <Pane name="Stalled runs">
              <StandsStill everybody={me.everybody} />
            </Pane>
          )}
          {me?.everybody && (
            <Pane name="Runs that don't fit the code">
              <Misfits />
            </Pane>
          )}
          <Part name="Failures">
            <Broken />
          </Part>
        </div>
        <div className="min-w-0">
          <Part name="Now">
            <Now />
          </Part>
          <Part name="Throughput">
            <Throughput />
          </Part>
          {me?.everybody && (
            <>
              <Part name="Workers and queue">
                <Workers />
              </Part>
              <Part name="Next scheduled">
                <Next />
              </Part>
            </>
          )}
        </div>
      </div>
    </>
  );
}

/** An error in one doesn't affect the others. */
function Part({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <Section title={name}>
      <Pane name={name}>{children}</Pane>
    </Section>
  );
}
