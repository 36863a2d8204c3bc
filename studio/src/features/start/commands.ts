import type { Json, JsonObject } from "@/api/types";
import type { Start } from "./request";

/** The same start as a command or code. */
export function curl({ request, key }: Start, url: string): string {
  return [
    `curl -X POST ${quoted(`${url}/runs`)}`,
    `-H "Authorization: Bearer $STEPWELL_TOKEN"`,
    `-H 'Content-Type: application/json'`,
    ...(key === undefined ? [] : [`-H ${quoted(`Idempotency-Key: ${key}`)}`]),
    `-d ${quoted(JSON.stringify(request))}`,
  ].join(" \\\n  ");
}

export function commandLine({ request, key }: Start): string {
  const parts = [
    `stepwell run ${quoted(request.workflow)}`,
    `--app-name ${quoted(request.app_name)}`,
    ...(request.args === undefined ? [] : [`--data ${quoted(JSON.stringify(request.args))}`]),
    ...(request.labels ?? []).map((label) => `--label ${quoted(label)}`),
    ...(key === undefined ? [] : [`--key ${quoted(key)}`]),
    ...(request.user_id ? [`--user ${quoted(request.user_id)}`] : []),
  ];
  const missing = (["delay_seconds", "at", "priority", "workspace_id"] as const).filter((name) => request[name] !== undefined);
  const note = missing.length > 0 ? `# The command line has no option for: ${missing.join(", ")}\n` : "";
  return note + parts.join(" \\\n  ");
}

export function python({ request, key }: Start): string {
  const options: [string, string][] = [["app_name", literal(request.app_name)]];
  if (request.user_id) options.push(["user_id", literal(request.user_id)]);
  if (request.workspace_id) options.push(["workspace_id", literal(request.workspace_id)]);
  if (request.labels?.length) options.push(["labels", literal(request.labels)]);
  if (key !== undefined) options.push(["idempotency_key", literal(key)]);
  if (typeof request.delay_seconds === "number") options.push(["delay", `timedelta(seconds=${String(request.delay_seconds)})`]);
  if (request.at) options.push(["at", `datetime.fromisoformat(${literal(request.at)})`]);
  if (typeof request.priority === "number") options.push(["priority", String(request.priority)]);
  const imports = ["delay", "at"].flatMap((name) => (options.some(([one]) => one === name) ? [name === "delay" ? "timedelta" : "datetime"] : []));
  const args = request.args === undefined ? [] : [`${literal(request.args as Json, 1)},`];
  const lines = [`${literal(request.workflow)},`, ...args, ...options.map(([name, value]) => `${name}=${value},`)];
  const head = imports.length > 0 ? `from datetime import ${imports.sort().join(", ")}\n\n` : "";
  return `${head}run = await runner.run(\n${lines.map((line) => `    ${line}`).join("\n")}\n)`;
}

/** A JSON value in Python's words; objects in lines, `depth` levels in. */
export function literal(value: Json, depth = 0): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((one) => literal(one, depth)).join(", ")}]`;
  return dict(value, depth);
}

function dict(value: JsonObject, depth: number): string {
  const entries = Object.entries(value);
  if (entries.length === 0) return "{}";
  const indent = "    ".repeat(depth + 1);
  const inside = entries.map(([name, one]) => `${indent}${JSON.stringify(name)}: ${literal(one, depth + 1)},`).join("\n");
  return `{\n${inside}\n${"    ".repeat(depth)}}`;
}

/** Quoted for a shell, which then interprets nothing in it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
