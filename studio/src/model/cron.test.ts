import { describe, expect, it } from "vitest";
import { cronWords } from "./cron";

describe("cron expressions in words", () => {
  it.each([
    ["30 2 * * *", "Daily at 02:30"],
    ["0 9 * * 1-5", "Weekdays at 09:00"],
    ["0 9 * * MON-FRI", "Weekdays at 09:00"],
    ["15 * * * *", "Every hour at :15"],
    ["*/5 * * * *", "Every 5 minutes"],
    ["* * * * *", "Every minute"],
    ["0 */6 * * *", "Every 6 hours at :00"],
    ["0 8,20 * * *", "Daily at 08:00, 20:00"],
    ["0 0 1 * *", "On day 1 of the month at 00:00"],
    ["0 7 * * 0,sat", "Sundays, Saturdays at 07:00"],
    ["@daily", "Daily at 00:00"],
  ])("%s is %s", (rule, words) => {
    expect(cronWords(rule)).toBe(words);
  });

  it.each(["0 9 1 * 1", "0 9 * 6 *", "0-30 9 * * *", "0 9 * * 1-3", "0 1,2,3,4 * * *", "every 6:00:00", "0 9 L * *"])("%s is left as it is", (rule) => {
    expect(cronWords(rule)).toBeNull();
  });
});
