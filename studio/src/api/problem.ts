import type { Problem, ProblemField } from "./types";

/** An error answer of the API. `status` 0: it couldn't be reached. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  /** The faults of single fields, for a form to show. */
  get fields(): ProblemField[] {
    return this.problem.errors ?? [];
  }
}

/** The error of an answer that isn't a success, whether from the API, a proxy, or the host application. */
export async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  const body = parsed(text);
  const problem = isRecord(body) ? body : {};
  return new ApiError({
    type: typeof problem.type === "string" ? problem.type : "about:blank",
    title: typeof problem.title === "string" ? problem.title : `The server answered ${String(response.status)}`,
    status: response.status,
    detail: detailOf(problem, body === undefined ? text : ""),
    errors: Array.isArray(problem.errors) ? (problem.errors as ProblemField[]) : [],
    ...(typeof problem.by === "string" ? { by: problem.by } : {}),
    ...(typeof problem.at === "string" ? { at: problem.at } : {}),
  });
}

/** The error of a request that got no answer at all. */
export function unreachable(cause: unknown): ApiError {
  const error = new ApiError({
    type: "about:blank",
    title: "The server can't be reached",
    status: 0,
    detail: "There was no answer: the server may be stopped, or the network may be down.",
  });
  error.cause = cause;
  return error;
}

function detailOf(problem: Record<string, unknown>, text: string): string {
  if (typeof problem.detail === "string") return problem.detail;
  return text.startsWith("<") ? "" : text.slice(0, 500);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not JSON: a proxy's page
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
