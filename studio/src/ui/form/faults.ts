import type { Fault } from "./validate";

/** An error as the server reports it (RFC 9457 `errors`). */
export interface ServerFault {
  loc: (string | number)[];
  msg: string;
}

/**
 * The server's faults at their places in `value`. Its `loc` is within the value, or begins with where the value was in the request
 * (`body`, `args`); and it names the branches of unions, which aren't places in the value.
 */
export function placed(faults: readonly ServerFault[], value: unknown, prefix: string): Fault[] {
  return faults.map(({ loc, msg }) => ({ path: inside(withoutPrefix(loc, prefix), value), keyword: "server", message: msg }));
}

function withoutPrefix(loc: (string | number)[], prefix: string): (string | number)[] {
  if (loc[0] !== "body") return loc;
  return loc[1] === prefix ? loc.slice(2) : loc.slice(1);
}

function inside(loc: (string | number)[], value: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let node: unknown = value;
  loc.forEach((step, at) => {
    const last = at === loc.length - 1;
    const here = typeof node === "object" && node !== null && Object.hasOwn(node, step);
    if (!here && !(last && typeof node === "object" && node !== null)) return;
    path.push(step);
    node = here ? (node as Record<string | number, unknown>)[step] : undefined;
  });
  return path;
}
