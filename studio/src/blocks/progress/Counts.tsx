import type { ReactNode } from "react";
import type { Progress } from "@/api/types";
import { STANDINGS, STANDING_LOOKS, type Standing, grouped } from "@/model/progress";
import { StatusShape } from "@/ui/StatusShape";

/** How many runs stand where, the ones that aren't 0; `link` makes each lead to those runs. */
export function Counts({ progress, link }: { progress: Progress; link: (standing: Standing, count: ReactNode) => ReactNode }) {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1">
      {STANDINGS.filter((one) => progress[one] > 0).map((one) => {
        const { shape, token, word, meaning } = STANDING_LOOKS[one];
        return (
          <li key={one} title={meaning}>
            {link(
              one,
              <span className="inline-flex min-h-6 items-center gap-1.5 whitespace-nowrap">
                <StatusShape shape={shape} token={token} />
                <span className="font-semibold tabular-nums">{grouped(progress[one])}</span> {word.toLowerCase()}
              </span>,
            )}
          </li>
        );
      })}
    </ul>
  );
}
