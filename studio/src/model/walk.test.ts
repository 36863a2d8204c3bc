import { describe, expect, it } from "vitest";
import { MOST_PAGES, type Walk, begun, itemsOf, withNewer, withOlder } from "./walk";

const SIZE = 10;
const ALL = Array.from({ length: 205 }, (_, at) => ({ id: String(at) }));
const LIVE = ALL.slice(-45);

/** What a server answers: the page that ends before this item. */
function before(id: string) {
  const end = Number(id);
  return ALL.slice(Math.max(0, end - SIZE), end);
}

const first = (walk: Walk<{ id: string }>) => (itemsOf(walk)[0] as { id: string }).id;

function older(walk: Walk<{ id: string }>) {
  return withOlder(walk, { before: first(walk), items: before(first(walk)) });
}

/** They follow each other, none is left out. */
function numbers(walk: Walk<{ id: string }>): [number, number] {
  const ids = itemsOf(walk).map((one) => Number(one.id));
  for (const [at, id] of ids.entries()) expect(id).toBe((ids[0] as number) + at);
  return [ids[0] as number, ids.at(-1) as number];
}

describe("a walk through a long list", () => {
  it("goes back to the first item and on to the newest end, and keeps few of them", () => {
    let walk = begun(LIVE, SIZE);
    expect(numbers(walk)).toEqual([160, 199]);
    const seen: [number, number][] = [];
    while (Number(first(walk)) > 0) {
      walk = older(walk);
      seen.push(numbers(walk));
      expect(walk.pages.length).toBeLessThanOrEqual(MOST_PAGES);
    }
    expect(seen[0]).toEqual([150, 199]);
    expect(seen.at(-1)).toEqual([0, 49]);
    let steps = 0;
    for (let next: typeof walk | null = walk; next; steps += 1) {
      walk = next;
      numbers(walk);
      const end: string | undefined = walk.newer.at(-1);
      next = withNewer(walk, end === undefined ? [] : before(end));
    }
    expect(steps).toBe(16);
    expect(numbers(walk)).toEqual([150, 199]);
  });

  it("stays where it is when nothing is older", () => {
    const walk = begun(LIVE, SIZE);
    expect(withOlder(walk, { before: "160", items: [] }).pages).toEqual(walk.pages);
  });
});
