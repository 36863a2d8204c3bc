/** The limits of a workflow, a sentence each. */
import type { LimitRules } from "@/api/types";
import { duration } from "@/model/time";

const OTHERS = { queue: "others wait", skip: "a further start leads to the oldest of them", replace: "a further start replaces the oldest of them" } as const;

export function limitLines({ concurrency, rate_limit, debounce, fair_by, expires }: LimitRules): string[] {
  return [
    ...concurrency.map((one) =>
      one.holds === "executing"
        ? `At most ${String(one.limit)} executing at once${of(one.key)}${shared(one.name)}`
        : `At most ${String(one.limit)} begun and not ended${of(one.key)}${shared(one.name)}: ${OTHERS[one.on_conflict]}`,
    ),
    ...rate_limit.map((one) => `At most ${String(one.limit)} begin within ${seconds(one.per)}${of(one.key)}${shared(one.name)}`),
    ...(fair_by === null ? [] : [`Turns for each ${fair_by}`]),
    ...(debounce === null ? [] : [`A further start puts one off by ${seconds(debounce.delay)}${of(debounce.key)}${debounce.max_wait === null ? "" : `, at most ${seconds(debounce.max_wait)} after the first`}`]),
    ...(expires === null ? [] : [`Cancelled unless begun within ${seconds(expires)}`]),
  ];
}

const seconds = (count: number) => duration(count * 1000);
const of = (key: string | null) => (key === null ? "" : `, for each ${key}`);
const shared = (name: string | null) => (name === null ? "" : `, shared as “${name}”`);
