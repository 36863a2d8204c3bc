// @vitest-environment jsdom
import { beforeEach, expect, test, vi } from "vitest";
import { answer, api, apiBase, onSignedOut, path, urlOf } from "./client";
import { retryRun, signalRun } from "./mutations";
import { ApiError } from "./problem";

const asked = vi.fn<(request: Request) => Promise<Response>>();
vi.stubGlobal("fetch", asked);

const json = (status: number, body: unknown, type = "application/json") =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": type } });

beforeEach(() => {
  asked.mockReset();
});

test("the base comes from the page, and a placeholder is none", () => {
  expect(apiBase()).toBe("/api/v1");
  document.head.innerHTML = '<meta name="stepwell-api" content="/tools/api/v1/">';
  expect(apiBase()).toBe("/tools/api/v1");
  document.head.innerHTML = '<meta name="stepwell-api" content="__API_BASE__">';
  expect(apiBase()).toBe("/api/v1");
});

test("what isn't given isn't in the address; lists repeat; ids are encoded", () => {
  expect(urlOf("/runs", { q: "a b", status: ["failed", "waiting"], label: undefined, cursor: null, brief: true })).toBe(
    "/api/v1/runs?q=a+b&status=failed&status=waiting&brief=true",
  );
  expect(path`/runs/${"a/b"}/steps`).toBe("/runs/a%2Fb/steps");
});

test("an answer is decoded, and only what changes something carries the header against forgery", async () => {
  asked.mockImplementation(() => Promise.resolve(json(200, { workflow_id: "w" })));
  expect(await answer(api().GET("/runs/{workflow_id}", { params: { path: { workflow_id: "w/1" } } }))).toEqual({ workflow_id: "w" });
  expect(asked.mock.lastCall?.[0].url).toContain("/api/v1/runs/w%2F1");
  expect(asked.mock.lastCall?.[0].headers.get("X-Requested-With")).toBeNull();
  await signalRun("w", "approve", { yes: true }, "once");
  const sent = asked.mock.lastCall?.[0];
  expect(sent?.headers.get("X-Requested-With")).toBe("stepwell-studio");
  expect(sent?.headers.get("Idempotency-Key")).toBe("once");
  expect(await sent?.json()).toEqual({ name: "approve", data: { yes: true } });
});

test("a problem becomes an ApiError with its fields", async () => {
  const problem = { type: "about:blank", title: "Not valid", status: 422, detail: "No.", errors: [{ loc: ["a"], msg: "bad", type: "x" }] };
  asked.mockResolvedValue(json(422, problem, "application/problem+json"));
  const error = await retryRun("w").catch((raised: unknown) => raised);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).status).toBe(422);
  expect((error as ApiError).fields[0]?.msg).toBe("bad");
});

test("a proxy's page and no answer at all are errors too", async () => {
  asked.mockResolvedValueOnce(new Response("<html>Bad gateway</html>", { status: 502 }));
  await expect(retryRun("w")).rejects.toMatchObject({ problem: { status: 502, title: "The server answered 502", detail: "" } });
  asked.mockRejectedValueOnce(new TypeError("Failed to fetch"));
  await expect(retryRun("w")).rejects.toMatchObject({ problem: { status: 0 } });
});

test("who listens hears that nobody is signed in", async () => {
  const heard = vi.fn();
  const stop = onSignedOut(heard);
  asked.mockResolvedValue(json(401, { title: "Not signed in", detail: "", status: 401, type: "about:blank" }));
  await expect(retryRun("w")).rejects.toBeInstanceOf(ApiError);
  expect(heard).toHaveBeenCalledOnce();
  stop();
});
