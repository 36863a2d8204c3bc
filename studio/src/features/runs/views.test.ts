import { describe, expect, it } from "vitest";
import { viewsIn, withView } from "./views";

describe("saved views", () => {
  it("are read as far as they are understood", () => {
    expect(viewsIn([{ name: "Mine", search: "?user_id=ada", more: 1 }, { name: 2 }, null, "x"])).toEqual([{ name: "Mine", search: "?user_id=ada" }]);
    expect(viewsIn({ name: "Mine" })).toEqual([]);
    expect(viewsIn("no list")).toEqual([]);
    expect(viewsIn(undefined)).toEqual([]);
  });

  it("have one name each, and stand in its order", () => {
    const views = withView(withView([], { name: "b", search: "?q=1" }), { name: "a", search: "" });
    expect(withView(views, { name: "b", search: "?q=2" })).toEqual([
      { name: "a", search: "" },
      { name: "b", search: "?q=2" },
    ]);
  });
});
