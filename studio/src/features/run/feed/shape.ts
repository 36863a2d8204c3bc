/** The form in which a document's content can be shown. Content comes from the application's code: nothing about it is assumed. */
import type { Json, JsonObject, StoredDocument } from "@/api/types";

export type Shape =
  | { kind: "message"; role: string; text: string }
  | { kind: "markdown"; text: string }
  | { kind: "plain"; text: string }
  | { kind: "code"; code: string; language: string | undefined }
  | { kind: "table"; columns: readonly string[]; rows: readonly JsonObject[] }
  | { kind: "link"; workflowId: string; label: string; inline: boolean }
  | { kind: "error"; message: string; type: string; transition: string | null; attempt: number | null }
  | { kind: "json" };

/** A table with more columns than this is shown as a tree. */
const MOST_COLUMNS = 30;

export function shapeOf({ name, content }: Pick<StoredDocument, "name" | "content">): Shape {
  const text = str(content.text);
  if (name === "message" && text !== null) return { kind: "message", role: str(content.role) ?? "", text };
  if (name === "markdown" && text !== null) return { kind: "markdown", text };
  if (name === "plain" && text !== null) return { kind: "plain", text };
  if (name === "link" && typeof content.workflow_id === "string") return linkOf(content, content.workflow_id);
  if (name === "error" && typeof content.message === "string") return errorOf(content, content.message);
  const code = str(content.code);
  if (code !== null && Object.keys(content).every((key) => key === "code" || key === "language")) return { kind: "code", code, language: str(content.language) ?? undefined };
  return tableOf(content) ?? { kind: "json" };
}

function linkOf(content: JsonObject, workflowId: string): Shape {
  return { kind: "link", workflowId, label: str(content.label) ?? "Run", inline: content.show === "inline" };
}

function errorOf(content: JsonObject, message: string): Shape {
  const attempt = typeof content.attempt === "number" ? content.attempt : null;
  return { kind: "error", message, type: str(content.type) ?? "Error", transition: str(content.transition), attempt };
}

/** The sender of a message; null for other documents. */
export function authorOf(document: Pick<StoredDocument, "name" | "content">): string | null {
  const shape = shapeOf(document);
  return shape.kind === "message" ? shape.role || null : null;
}

/** The tags that don't just repeat the name. */
export function tagsOf({ name, tags }: Pick<StoredDocument, "name" | "tags">): string[] {
  return tags.filter((tag) => tag !== name && tag !== `ui-${name}`);
}

/** A field `rows` of objects, beside which there is at most a list of `columns` and a title. */
function tableOf(content: JsonObject): Shape | null {
  const { rows } = content;
  if (!Array.isArray(rows) || rows.length === 0 || !rows.every(isObject)) return null;
  if (Object.keys(content).some((key) => !["rows", "columns", "title"].includes(key))) return null;
  const given = Array.isArray(content.columns) ? content.columns.filter((one): one is string => typeof one === "string") : [];
  const columns = given.length > 0 ? given : [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return columns.length <= MOST_COLUMNS ? { kind: "table", columns, rows } : null;
}

/** The text of a cell: texts as they are, everything else as JSON; empty if it is absent. */
export function cellText(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function str(value: Json | undefined): string | null {
  return typeof value === "string" ? value : null;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
