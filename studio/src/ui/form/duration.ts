const UNITS = ["year", "month", "week", "day", "hour", "minute", "second"] as const;
const ISO = /^([-+]?)P(?=.)(?:([\d.]+)Y)?(?:([\d.]+)M)?(?:([\d.]+)W)?(?:([\d.]+)D)?(?:T(?=.)(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?$/i;

/** "PT1H30M" as "1 hour 30 minutes"; null for what isn't an ISO 8601 duration. */
export function durationWords(text: string): string | null {
  const found = ISO.exec(text.trim());
  if (!found) return null;
  const [, sign, ...amounts] = found;
  const parts = UNITS.flatMap((unit, at) => {
    const amount = amounts[at];
    return amount === undefined || Number.isNaN(Number(amount)) ? [] : [`${String(Number(amount))} ${unit}${Number(amount) === 1 ? "" : "s"}`];
  });
  return parts.length === 0 ? null : `${sign === "-" ? "minus " : ""}${parts.join(" ")}`;
}
