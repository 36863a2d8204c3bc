// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from "vitest";

/** The module as a tab that was just opened has it. */
async function tab() {
  vi.resetModules();
  return import("./personal");
}

beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
});

const all = () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]);

describe("what a user leaves in the browser", () => {
  it("is there again for the same user", async () => {
    const first = await tab();
    first.belongTo("ada");
    first.kept.set("draft 1", { note: "half" });
    first.keptInTab.set("start x", [1]);
    const second = await tab();
    expect(second.kept.get("draft 1")).toBeUndefined();
    second.belongTo("ada");
    expect([second.kept.get("draft 1"), second.keptInTab.get("start x")]).toEqual([{ note: "half" }, [1]]);
    second.kept.set("draft 1", undefined);
    expect(second.kept.get("draft 1")).toBeUndefined();
  });

  it("is deleted when they sign out, and nothing is kept after that", async () => {
    localStorage.setItem("stepwell.theme", "dark");
    const { belongTo, forget, kept, keptInTab } = await tab();
    belongTo("ada");
    kept.set("draft 1", "secret");
    keptInTab.set("start x", "secret");
    forget();
    kept.set("draft 1", "secret");
    keptInTab.set("start x", "secret");
    expect(all()).not.toContain("secret");
    expect(localStorage.getItem("stepwell.theme")).toBe("dark");
  });

  it("is deleted when another user signs in after a session that expired", async () => {
    for (const [name, other] of [["ada", "ad"], ["ad", "ada"], ['a" ', "a"], ["a", 'a" '], ["ada", "Ada"]] as const) {
      const first = await tab();
      first.belongTo(name);
      first.kept.set("draft 1", "secret");
      first.keptInTab.set("start x", "secret");
      const second = await tab();
      second.belongTo(other);
      expect([second.kept.get("draft 1"), second.keptInTab.get("start x")]).toEqual([undefined, undefined]);
      expect(all()).not.toContain("secret");
    }
  });

  it("is deleted in the other tabs of the browser when they sign out in one", async () => {
    const { belongTo, keptInTab, onForgotten } = await tab();
    const left = vi.fn();
    const leave = onForgotten(left);
    belongTo("ada");
    keptInTab.set("start x", "secret");
    window.dispatchEvent(new StorageEvent("storage", { key: "stepwell.theme" }));
    expect(left).not.toHaveBeenCalled();
    window.dispatchEvent(new StorageEvent("storage", { key: "stepwell.signed-out", newValue: "1" }));
    expect(left).toHaveBeenCalledOnce();
    expect(all()).not.toContain("secret");
    leave();
  });

  it("is deleted in a tab that was closed meanwhile, and is opened again", async () => {
    const first = await tab();
    first.belongTo("ada");
    first.keptInTab.set("start x", "secret");
    localStorage.setItem("stepwell.signed-out", "by another tab");
    const again = await tab();
    again.belongTo("ada");
    expect(again.keptInTab.get("start x")).toBeUndefined();
    expect(all()).not.toContain("secret");
    again.keptInTab.set("start x", "new");
    again.belongTo("ada");
    expect(again.keptInTab.get("start x")).toBe("new");
  });

  it("of earlier versions, whose keys had no user, is deleted", async () => {
    for (const name of ["stepwell.draft:r1 approve", "stepwell.last shop order", "stepwell.start shop order", "stepwell.runs-views"]) {
      localStorage.setItem(name, '"secret"');
      sessionStorage.setItem(name, '"secret"');
    }
    (await tab()).belongTo("ada");
    expect(all()).not.toContain("secret");
  });

  it("isn't kept where storage is off", async () => {
    const { belongTo, forget, kept } = await tab();
    const off = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => { throw new DOMException("full"); });
    belongTo("ada");
    kept.set("draft 1", "x");
    expect(kept.get("draft 1")).toBeUndefined();
    forget();
    off.mockRestore();
  });
});
