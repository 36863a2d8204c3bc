/**
 * A walk through the pages of a long list, from its newest end backwards and forwards again. Only a few pages are kept; of
 * those dropped at the newer end, only the end of each is remembered.
 */

export interface Page<Item> {
  /** The id of the item that follows the page's last one. */
  before: string;
  items: readonly Item[];
}

export interface Walk<Item> {
  /** Oldest first. */
  pages: readonly Page<Item>[];
  /** Ends of the pages that were dropped, the next one last. */
  newer: readonly string[];
}

interface Named {
  id: string;
}

/** Pages that are kept. */
export const MOST_PAGES = 5;

/** A walk that begins with the pages on screen, so that nothing disappears while it is read. */
export function begun<Item extends Named>(shown: readonly Item[], size: number): Walk<Item> {
  const pages: Page<Item>[] = [];
  for (let at = 0; at + size < shown.length && pages.length < MOST_PAGES; at += size) {
    pages.push({ items: shown.slice(at, at + size), before: (shown[at + size] as Item).id });
  }
  return { pages, newer: [] };
}

/** Adds a page at the front, which ends before the previous first item; the newest page is dropped if there are too many. */
export function withOlder<Item extends Named>(walk: Walk<Item>, page: Page<Item>): Walk<Item> {
  const pages = page.items.length === 0 ? walk.pages : [page, ...walk.pages];
  const gone = pages.slice(MOST_PAGES);
  return { pages: pages.slice(0, MOST_PAGES), newer: [...walk.newer, ...gone.map((one) => one.before).reverse()] };
}

/** Adds the page that follows; the oldest is dropped if there are too many. null: the newest end itself follows. */
export function withNewer<Item extends Named>(walk: Walk<Item>, items: readonly Item[]): Walk<Item> | null {
  const before = walk.newer.at(-1);
  if (before === undefined) return null;
  return { pages: [...walk.pages, { items, before }].slice(-MOST_PAGES), newer: walk.newer.slice(0, -1) };
}

export function itemsOf<Item>({ pages }: Walk<Item>): Item[] {
  return pages.flatMap((page) => page.items);
}
