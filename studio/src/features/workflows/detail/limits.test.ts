import { expect, test } from "vitest";
import { limitLines } from "./limits";

const NONE = { concurrency: [], rate_limit: [], debounce: null, fair_by: null, expires: null };

test("each limit of a workflow is a sentence, and none is none", () => {
  expect(limitLines(NONE)).toEqual([]);
  const lines = limitLines({
    concurrency: [
      { limit: 2, key: "args.host", name: null, holds: "executing", on_conflict: "queue" },
      { limit: 1, key: null, name: "till", holds: "run", on_conflict: "replace" },
    ],
    rate_limit: [{ limit: 100, key: null, name: null, per: 60 }],
    debounce: { delay: 5, max_wait: 90, key: "user_id" },
    fair_by: "user_id",
    expires: 3600,
  });
  expect(lines).toEqual([
    "At most 2 executing at once, for each args.host",
    "At most 1 begun and not ended, shared as “till”: a further start replaces the oldest of them",
    "At most 100 begin within 1 min",
    "Turns for each user_id",
    "A further start puts one off by 5 s, for each user_id, at most 1 min 30 s after the first",
    "Cancelled unless begun within 1 h",
  ]);
});
