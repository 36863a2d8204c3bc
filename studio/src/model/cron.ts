/**
 * Rules of schedules in words, where that is shorter than the rule: "Weekdays at 09:00". The server evaluates them; a rule
 * that has no plain wording here is shown as it is written.
 */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const ALIASES: Record<string, string> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

/** "30 2 * * * (Europe/Berlin)" without the zone, which is shown beside it, and "every 6:00:00 from ..." without its anchor. */
export function ruleText(rule: string): string {
  return rule.replace(/ \([^()]*\)$/, "").replace(/^(every .+?) from 1970-01-01T00:00:00\+00:00$/, "$1");
}

/** The rule of a schedule in words; null if words would be longer or wrong. */
export function ruleWords(rule: string): string | null {
  const text = ruleText(rule);
  return text.startsWith("every ") ? intervalWords(text.replace(/ from \S+$/, "")) : cronWords(text);
}

function intervalWords(text: string): string | null {
  const found = /^every (?:(\d+) days?(?:, |$))?(?:(\d+):(\d\d):(\d\d))?$/.exec(text);
  if (!found) return null;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = found.slice(1).map((one) => Number(one ?? 0));
  const parts = [counted(days, "day"), counted(hours, "hour"), counted(minutes, "minute"), counted(seconds, "second")].filter((one) => one !== null);
  const [only] = parts;
  if (parts.length !== 1 || only === undefined) return parts.length === 0 ? null : `Every ${parts.join(" ")}`;
  return `Every ${only.replace(/^1 /, "")}`;
}

const counted = (count: number, unit: string) => (count === 0 ? null : `${String(count)} ${unit}${count === 1 ? "" : "s"}`);

function cronWords(rule: string): string | null {
  const fields = (ALIASES[rule.trim().toLowerCase()] ?? rule).trim().split(/\s+/);
  if (fields.length !== 5) return null;
  const [minute, hour, day, month, weekday] = fields as [string, string, string, string, string];
  if (month !== "*") return null;
  const times = timesOf(minute, hour);
  if (times === null) return null;
  if (day === "*" && weekday === "*") return times.daily ? `Daily ${times.text}` : capital(times.text);
  const days = daysOf(day, weekday);
  return days === null ? null : `${days} ${times.text}`;
}

function timesOf(minute: string, hour: string): { text: string; daily: boolean } | null {
  if (minute === "*" && hour === "*") return { text: "every minute", daily: false };
  const step = /^\*\/(\d+)$/.exec(minute)?.[1];
  if (step && hour === "*") return { text: `every ${step} minutes`, daily: false };
  if (!isNumber(minute, 59)) return null;
  if (hour === "*") return { text: `every hour at :${two(minute)}`, daily: false };
  const hours = /^\*\/(\d+)$/.exec(hour)?.[1];
  if (hours) return { text: `every ${hours} hours at :${two(minute)}`, daily: false };
  const all = hour.split(",");
  if (all.length > 3 || !all.every((one) => isNumber(one, 23))) return null;
  return { text: `at ${all.map((one) => `${two(one)}:${two(minute)}`).join(", ")}`, daily: true };
}

function daysOf(day: string, weekday: string): string | null {
  if (day !== "*" && weekday !== "*") return null;
  if (day !== "*") return isNumber(day, 31) ? `On day ${day} of the month` : null;
  if (weekday === "1-5" || weekday.toLowerCase() === "mon-fri") return "Weekdays";
  const all = weekday.split(",").map(dayOf);
  return all.every((one) => one !== null) ? all.map((one) => `${one}s`).join(", ") : null;
}

function dayOf(text: string): string | null {
  const named = NAMES.indexOf(text.toLowerCase());
  return named >= 0 ? (DAYS[named] ?? null) : isNumber(text, 7) ? (DAYS[Number(text)] ?? null) : null;
}

const isNumber = (text: string, most: number) => /^\d{1,2}$/.test(text) && Number(text) <= most;
const two = (text: string) => text.padStart(2, "0");
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
