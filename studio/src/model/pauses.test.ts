import { describe, expect, test } from "vitest";
import type { Paused } from "../api/types";
import { isCovered, pausedText } from "./pauses";

describe("what a pause covers", () => {
  test("what it doesn't name, it covers whole", () => {
    const all: Paused = { app_name: null, workflow: null };
    const shop: Paused = { app_name: "shop", workflow: null };
    const charge: Paused = { app_name: "shop", workflow: "charge_card" };
    const everywhere: Paused = { app_name: null, workflow: "charge_card" };
    const covered = (one: Paused) => [isCovered([one], "shop", "charge_card"), isCovered([one], "shop", "restock"), isCovered([one], "hr", "charge_card")];
    expect(covered(all)).toEqual([true, true, true]);
    expect(covered(shop)).toEqual([true, true, false]);
    expect(covered(charge)).toEqual([true, false, false]);
    expect(covered(everywhere)).toEqual([true, false, true]);
    expect(isCovered([], "shop", "charge_card")).toBe(false);
    expect([all, shop, charge, everywhere].map(pausedText)).toEqual(["Everything", "The app shop", "The workflow charge_card of shop", "The workflow charge_card of every app"]);
  });
});
