import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { historyQuery } from "@/api/queries";
import { NOTHING, type Tally, counted } from "@/model/tally";
import { useRunPage } from "../data";

/** Rows that are counted at a time, and then dropped. */
const PAGE = 1_000;
/** Rows that are counted automatically, at most. */
const BY_ITSELF = 2_000;

export interface Counting {
  tally: Tally;
  /** The number of rows that are neither loaded nor counted. */
  left: number;
  running: boolean;
  error: unknown;
  count: () => void;
}

/** Counts what happened before the loaded rows, page by page; only the counts are kept. */
export function useTally(): Counting {
  const { run, rows } = useRunPage();
  const client = useQueryClient();
  const first = rows[0]?.version ?? 0;
  const [tally, setTally] = useState<Tally>(NOTHING);
  const [wanted, setWanted] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const left = Math.max(0, first - tally.until);
  const running = error === null && left > 0 && (wanted || first <= BY_ITSELF);
  useEffect(() => {
    if (!running) return;
    let gone = false;
    const window = { after: tally.until - 1, before: first, limit: PAGE };
    client.fetchQuery({ ...historyQuery(run.workflow_id, window), staleTime: 0, gcTime: 0 }).then(
      (page) => {
        if (gone) return;
        if (page.length === 0) setError(new Error("The history has fewer rows than it should."));
        else setTally((known) => counted(known, page));
      },
      (reason: unknown) => { if (!gone) setError(reason); },
    );
    return () => { gone = true; };
  }, [running, client, run.workflow_id, tally, first]);
  const count = useCallback(() => {
    setError(null);
    setWanted(true);
  }, []);
  return { tally, left, running, error, count };
}
