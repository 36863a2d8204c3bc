import { describe, expect, it } from "vitest";
import { takeSlot } from "./slots";

/** Locks as a browser has them, of which only `ifAvailable` is used. */
function locks(): LockManager {
  const held = new Set<string>();
  const request = async (name: string, _options: LockOptions, callback: (lock: Lock | null) => unknown) => {
    if (held.has(name)) return callback(null);
    held.add(name);
    try {
      return await callback({ name, mode: "exclusive" });
    } finally {
      held.delete(name);
    }
  };
  return { request } as unknown as LockManager;
}

describe("slots for streams", () => {
  it("are three, and free again once they are given back", async () => {
    const shared = locks();
    const taken = [await takeSlot(shared), await takeSlot(shared), await takeSlot(shared)];
    expect(taken.every((one) => one !== null)).toBe(true);
    expect(await takeSlot(shared)).toBeNull();
    taken[1]?.();
    await Promise.resolve();
    await Promise.resolve();
    expect(await takeSlot(shared)).not.toBeNull();
  });

  it("are there for everybody where there are no locks", async () => {
    expect(await takeSlot(undefined)).not.toBeNull();
  });
});
