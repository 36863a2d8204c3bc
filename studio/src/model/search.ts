/** The query string of a Studio address: plain words, `status=failed&status=retrying`, no JSON. */
export type RawSearch = Record<string, unknown>;

export function parseSearch(search: string): RawSearch {
  const params = new URLSearchParams(search);
  const found: RawSearch = {};
  for (const name of new Set(params.keys())) {
    const all = params.getAll(name);
    found[name] = all.length > 1 ? all : all[0];
  }
  return found;
}

/** With its `?`; empty without any values. Undefined, null, empty and false values are left out. */
export function stringifySearch(search: RawSearch): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one === undefined || one === null || one === "" || one === false) continue;
      params.append(name, typeof one === "object" ? JSON.stringify(one) : String(one));
    }
  }
  const text = params.toString();
  return text && `?${text}`;
}

// Parsers for a route's validateSearch: they never throw, because an address may be typed by hand.

export function text(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof one === "number") return String(one);
  return typeof one === "string" && one !== "" ? one : undefined;
}

export function texts(value: unknown): string[] | undefined {
  const all = (Array.isArray(value) ? value : [value]).map(text).filter((one) => one !== undefined);
  return all.length > 0 ? all : undefined;
}

export function number(value: unknown): number | undefined {
  const one = text(value);
  const found = one === undefined ? NaN : Number(one);
  return Number.isFinite(found) ? found : undefined;
}

/** `?replaced=true`; anything else is undefined, so that the address stays short. */
export function flag(value: unknown): true | undefined {
  return value === true || text(value) === "true" ? true : undefined;
}

export function oneOf<Word extends string>(words: readonly Word[], value: unknown): Word | undefined {
  const one = text(value);
  return words.find((word) => word === one);
}

export function someOf<Word extends string>(words: readonly Word[], value: unknown): Word[] | undefined {
  const given = texts(value) ?? [];
  const found = words.filter((word) => given.includes(word));
  return found.length > 0 ? found : undefined;
}
