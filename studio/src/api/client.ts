import type { Problem } from "./types";
import { ApiError, errorOf, unreachable } from "./problem";

export type Query = Record<string, string | number | boolean | readonly (string | number)[] | null | undefined>;

export interface Send {
  query?: Query | undefined;
  body?: unknown;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

/** Where the API is: the server writes it into the page. Without a trailing slash. */
export function apiBase(): string {
  const written = document.querySelector<HTMLMetaElement>('meta[name="stepwell-api"]')?.content ?? "";
  return (written.startsWith("__") || !written ? "/api/v1" : written).replace(/\/$/, "");
}

/** The address of a part of the API; ids in `path` are encoded by the caller (see `path`). */
export function urlOf(path: string, query: Query = {}): string {
  const search = searchOf(query);
  return `${apiBase()}${path}${search && `?${search}`}`;
}

/** A path with its parts encoded: path`/runs/${id}`. */
export function path(strings: TemplateStringsArray, ...parts: (string | number)[]): string {
  return strings.reduce((sum, text, at) => sum + text + (at < parts.length ? encodeURIComponent(String(parts[at])) : ""), "");
}

/** The decoded answer of the API. Raises ApiError for everything that isn't a success. */
export async function send<Answer>(method: string, at: string, options: Send = {}): Promise<Answer> {
  const response = await reach(method, at, options);
  if (!response.ok) {
    const error = await errorOf(response);
    if (error.status === 401) notifySignedOut(error.problem);
    throw error;
  }
  if (response.status === 204) return undefined as Answer;
  return (await response.json()) as Answer;
}

export const get = <Answer>(at: string, query?: Query, signal?: AbortSignal) => send<Answer>("GET", at, { query, signal });
export const post = <Answer>(at: string, body?: unknown, headers?: Record<string, string>) =>
  send<Answer>("POST", at, { body, headers });

/** Requests that change something carry this: a page of another origin can't set it without being asked first (CSRF). */
export const CSRF_HEADERS = { "X-Requested-With": "stepwell-studio" } as const;

async function reach(method: string, at: string, { query, body, headers, signal }: Send): Promise<Response> {
  const sent: Record<string, string> = { Accept: "application/json", ...(method === "GET" ? {} : CSRF_HEADERS), ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  try {
    return await fetch(urlOf(at, query), {
      method,
      credentials: "same-origin",
      headers: sent,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw error instanceof ApiError ? error : unreachable(error);
  }
}

function searchOf(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === "") continue;
    for (const one of Array.isArray(value) ? (value as readonly (string | number)[]) : [value]) search.append(name, String(one));
  }
  return search.toString();
}

const signedOut = new Set<(problem: Problem) => void>();

/** `listener` hears each time the API says 401, until the returned function is called. */
export function onSignedOut(listener: (problem: Problem) => void): () => void {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

/** For readers of streams, which don't come through `send`. */
export function notifySignedOut(problem: Problem): void {
  for (const listener of signedOut) listener(problem);
}
