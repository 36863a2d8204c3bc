import { expect, test } from "vitest";
import type { Schedule } from "@/api/types";
import { upcoming } from "./upcoming";

const schedule = (name: string, next: string[], paused = false) => ({ name, next, paused }) as Schedule;

test("the nearest tick of each, without those that are paused", () => {
  const found = upcoming(
    [
      schedule("daily", ["2026-11-26T02:00:00Z", "2026-11-27T02:00:00Z"]),
      schedule("often", ["2026-11-25T22:00:00Z", "2026-11-25T22:10:00Z"]),
      schedule("paused", ["2026-11-25T21:00:00Z"], true),
    ],
    3,
  );
  expect(found.map((one) => one.schedule.name)).toEqual(["often", "daily"]);
});
