import { absolute, duration, moment, relative } from "@/model/time";
import { cn } from "./cn";
import { useNow } from "./useNow";
import { zone as readersZone } from "./zone";

/** "3 min ago", ticking; the moment with its zone as title. Renders `none` for null. */
export function RelativeTime({ at, none = "–", className }: { at: string | null | undefined; none?: string; className?: string }) {
  const now = useNow();
  const millis = moment(at);
  if (millis === null || !at) return <span className="text-muted">{none}</span>;
  return (
    <time dateTime={at} title={absolute(millis)} className={cn("whitespace-nowrap", className)}>
      {relative(millis, now)}
    </time>
  );
}

/** The moment itself, with its zone; `zone` as in "Europe/Berlin", by default the reader's. */
export function AbsoluteTime({ at, zone, none = "–" }: { at: string | null | undefined; zone?: string | undefined; none?: string }) {
  readersZone.use();
  const millis = moment(at);
  if (millis === null || !at) return <span className="text-muted">{none}</span>;
  return <time dateTime={at}>{absolute(millis, zone ? { timeZone: zone } : {})}</time>;
}

/** The time from `from` to `to`; without `to` it counts up. */
export function Duration({ from, to, none = "–" }: { from: string | null | undefined; to: string | null | undefined; none?: string }) {
  const start = moment(from);
  const end = moment(to);
  if (start === null) return <span className="text-muted">{none}</span>;
  return end === null ? <Counting start={start} /> : <span className="whitespace-nowrap">{duration(end - start)}</span>;
}

function Counting({ start }: { start: number }) {
  const now = useNow();
  return <span className="whitespace-nowrap">{duration(Math.max(0, now - start))}</span>;
}
