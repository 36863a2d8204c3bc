/** One line of a JSON tree. */
export interface JsonLine {
  /** "$", "$.items[3].name": unique in the tree. */
  path: string;
  depth: number;
  /** The key in its parent; null at the root. */
  name: string | number | null;
  value: unknown;
  /** How many entries it has; null for a leaf. */
  size: number | null;
  open: boolean;
}

/** Further entries of one value are shown on demand: a million numbers don't block the page. */
export const SHOWN = 100;

/** The visible lines of `value`. `isOpen(path, depth)` says what is unfolded, `shown(path)` how many entries of it. */
export function linesOf(value: unknown, isOpen: (path: string, depth: number) => boolean, shown: (path: string) => number): (JsonLine | Rest)[] {
  const lines: (JsonLine | Rest)[] = [];
  const walk = (one: unknown, path: string, name: string | number | null, depth: number) => {
    const entries = entriesOf(one);
    const open = entries !== null && entries.length > 0 && isOpen(path, depth);
    lines.push({ path, depth, name, value: one, size: entries && entries.length, open });
    if (!open) return;
    const limit = shown(path);
    for (const [key, child] of entries.slice(0, limit)) walk(child, childPath(path, key), key, depth + 1);
    if (entries.length > limit) lines.push({ path: `${path}…`, of: path, depth: depth + 1, more: entries.length - limit });
  };
  walk(value, "$", null, 0);
  return lines;
}

/** Entries that aren't shown yet. */
export interface Rest {
  path: string;
  of: string;
  depth: number;
  more: number;
}

function entriesOf(value: unknown): (readonly [string | number, unknown])[] | null {
  if (Array.isArray(value)) return value.map((one, at) => [at, one] as const);
  return typeof value === "object" && value !== null ? Object.entries(value) : null;
}

export function childPath(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${String(key)}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

/** What a folded value looks like: `{3}`, `[120]`. */
export function summary(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[${String(value.length)}]`;
  const count = Object.keys(value as object).length;
  return count === 0 ? "{}" : `{${String(count)}}`;
}
