import createClient from "openapi-fetch";
import { errorOf, unreachable } from "./problem";
import type { paths } from "./schema.gen";
import type { Problem } from "./types";

export type Query = Record<string, string | number | boolean | readonly (string | number)[] | null | undefined>;

/** Requests that change something carry this: a page of another origin can't set it without being asked first (CSRF). */
export const CSRF_HEADERS = { "X-Requested-With": "stepwell-studio" } as const;

/** The URL of the API, which the server writes into the page. Without a trailing slash. */
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

function newClient() {
  const client = createClient<paths>({
    baseUrl: new URL(apiBase(), document.baseURI).href,
    credentials: "same-origin",
    headers: { Accept: "application/json" },
    querySerializer: (query) => searchOf(query as Query),
    fetch: reach,
  });
  client.use({
    onRequest: ({ request }) => {
      if (request.method !== "GET") for (const [name, value] of Object.entries(CSRF_HEADERS)) request.headers.set(name, value);
      return request;
    },
    onResponse: async ({ response }) => {
      if (response.ok) return;
      const error = await errorOf(response);
      if (error.status === 401) notifySignedOut(error.problem);
      throw error;
    },
  });
  return client;
}

let made: ReturnType<typeof newClient> | undefined;

/** The API, its paths and parameters as the server describes them. Made when first used: there must be a page by then. */
export const api = () => (made ??= newClient());

/**
 * The answer of a call of `api()`, under its name in types.ts. Throws ApiError for everything that isn't a success:
 * the client's middleware does.
 */
export async function answer<Answer>(call: Promise<{ data?: unknown }>): Promise<Answer> {
  return (await call).data as Answer;
}

async function reach(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable(error);
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

/** Calls `listener` each time the API answers 401, until the returned function is called. */
export function onSignedOut(listener: (problem: Problem) => void): () => void {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

/** For readers of streams, which don't come through the client. */
export function notifySignedOut(problem: Problem): void {
  for (const listener of signedOut) listener(problem);
}
