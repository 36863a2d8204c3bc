import { describe, expect, it } from "vitest";
import { ruleText, ruleWords } from "./cron";

describe("rules in words", () => {
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
    ["30 2 * * * (Europe/Berlin)", "Daily at 02:30"],
    ["every 6:00:00 from 1970-01-01T00:00:00+00:00", "Every 6 hours"],
    ["every 0:01:30", "Every 1 minute 30 seconds"],
    ["every 1:00:00", "Every hour"],
    ["every 1 day, 0:00:00", "Every day"],
  ])("%s is %s", (rule, words) => {
    expect(ruleWords(rule)).toBe(words);
  });

  it.each(["0 9 1 * 1", "0 9 * 6 *", "0-30 9 * * *", "0 9 * * 1-3", "0 1,2,3,4 * * *", "0 9 L * *"])("%s is left as it is", (rule) => {
    expect(ruleWords(rule)).toBeNull();
  });
});

it("leaves out of a rule what is said beside it", () => {
  expect(ruleText("30 2 * * * (Europe/Berlin)")).toBe("30 2 * * *");
  expect(ruleText("every 6:00:00 from 1970-01-01T00:00:00+00:00")).toBe("every 6:00:00");
  expect(ruleText("every 6:00:00 from 2026-01-01T09:00:00+00:00")).toBe("every 6:00:00 from 2026-01-01T09:00:00+00:00");
});
