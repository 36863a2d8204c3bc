import { describe, expect, it } from "vitest";
import { USUAL, columnsIn, moved, shownOrNot } from "./arrangement";

describe("the columns of the table", () => {
  it("are those that the address names, in its order, as far as there are such", () => {
    expect(columnsIn("run, status,cost,run")).toEqual(["run", "status"]);
    expect(columnsIn(USUAL)).toHaveLength(8);
    expect(columnsIn("cost")).toBeNull();
    expect(columnsIn("")).toBeNull();
    expect(columnsIn(undefined)).toBeNull();
  });

  it("come last when they come back, and never leave the table without any", () => {
    expect(shownOrNot(["status", "run"], "user", true)).toEqual(["status", "run", "user"]);
    expect(shownOrNot(["status", "run"], "run", true)).toEqual(["status", "run"]);
    expect(shownOrNot(["status", "run"], "status", false)).toEqual(["run"]);
    expect(shownOrNot(["run"], "run", false)).toEqual(["run"]);
  });

  it("move one place, and stop at the ends", () => {
    expect(moved(["status", "run", "user"], "user", -1)).toEqual(["status", "user", "run"]);
    expect(moved(["status", "run", "user"], "status", 1)).toEqual(["run", "status", "user"]);
    expect(moved(["status", "run"], "status", -1)).toEqual(["status", "run"]);
    expect(moved(["status", "run"], "user", 1)).toEqual(["status", "run"]);
  });
});
