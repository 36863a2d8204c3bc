// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider, createMemoryHistory, createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { cleanup, configure, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CheckpointEvent } from "@/api/types";
import { type Recording, recording, recordings } from "@/model/recordings";
import Page from "./page";
import { RUN_TABS, validateSearch } from "./search";

/** A server that knows one recorded run. What is sent to its stream arrives at the page. */
class RecordedServer {
  readonly sent: { url: string; body: unknown; headers: Headers }[] = [];
  #stream: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly #run: Recording;
  /** Versions after this one haven't happened yet. */
  until: number;
  /** What it says to everything that is sent, instead of accepting it. */
  refusal: Record<string, unknown> | null = null;
  taken: unknown = null;

  constructor(run: Recording, until = run.run.version) {
    this.#run = run;
    this.until = until;
  }

  tell(...events: CheckpointEvent[]): void {
    for (const event of events) {
      this.until = event.checkpoint.version;
      const text = `event: checkpoint\nid: ${String(event.checkpoint.version)}\ndata: ${JSON.stringify(event)}\n\n`;
      this.#stream?.enqueue(new TextEncoder().encode(text));
    }
  }

  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input instanceof Request ? input : new URL(String(input), "http://studio.test"), init);
    const { pathname, searchParams } = new URL(request.url);
    if (request.method !== "GET") {
      this.sent.push({ url: pathname, body: await request.json().catch(() => null), headers: request.headers });
      return this.refusal ? json(this.refusal, Number(this.refusal.status)) : json({ ...this.#run.run }, 202);
    }
    const of = pathname.replace(/^\/api\/v1/, "").replace(`/runs/${this.#run.run.workflow_id}`, "/run");
    if (of === "/run/events") {
      const body = new ReadableStream<Uint8Array>({ start: (controller) => { this.#stream = controller; } });
      return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    }
    return this.#answer(of, searchParams);
  };

  #answer(of: string, search: URLSearchParams): Response {
    const { run, history, documents, definition, steps, children, explain } = this.#run;
    const before = Number(search.get("before") ?? Infinity);
    const limit = Number(search.get("limit") ?? 10_000);
    switch (of) {
      case "/run":
        return json(this.until === run.version ? run : { ...run, ...this.#run.events[this.until]?.run, args: run.args });
      case "/run/history":
        return json(history.filter((row) => row.version <= this.until && row.version < before && row.version > Number(search.get("after") ?? -1)).slice(-limit));
      case "/run/documents":
        return json(documents.filter((one) => one.version <= this.until).slice(-limit));
      case "/run/steps":
        return json(steps);
      case "/run/children":
        return json({ items: children, next_cursor: null });
      case "/run/groups":
        return json([]);
      case "/run/explain":
        return json({ workflow_id: run.workflow_id, status: run.status, place: run.place, ...explain });
      case "/run/taken":
        return json(this.taken);
      case "/run/asks":
        return json(this.#asks());
      case "/me":
        return json({ user_id: "alice", role: "operator", everybody: true, apps: null, method: "local", version: "1", database: "sqlite", queue: "database", expires_at: null, sign_out: false });
      case `/workflows/${definition.app_name}/${definition.name}`:
        return json(definition);
      default: {
        const child = children.find((one) => of === `/runs/${one.run.workflow_id}`);
        return child ? json(child.run) : of.endsWith("/documents") ? json([]) : json({ title: "No", status: 404, detail: of, type: "about:blank" }, 404);
      }
    }
  }

  #asks() {
    const { definition, history } = this.#run;
    const place = history.findLast((row) => row.version <= this.until && row.target !== null)?.target;
    return definition.transitions
      .filter((one) => one.kind === "signal" && one.source === place)
      .map((one) => ({ transition: one.name, title: one.name, description: "", optional: false, schema: one.payload?.schema ?? null, source: one.source, target: one.target }));
  }
}

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

function open(server: RecordedServer, id: string, search = "") {
  vi.stubGlobal("fetch", server.fetch);
  const root = createRootRoute();
  const link = (path: string) => createRoute({ getParentRoute: () => root, path, component: () => null });
  const page = createRoute({ getParentRoute: () => root, path: "/runs/$workflowId", component: Page, validateSearch });
  const routeTree = root.addChildren([page, link("/runs"), link("/workflows/$app/$name"), link("/workflows/$app/$name/start")]);
  const history = createMemoryHistory({ initialEntries: [`/runs/${id}${search}`] });
  const router = createRouter({ routeTree, history });
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const shown = render(
    <QueryClientProvider client={client}>
      {/* Another router than the application's, with the one route that is tried. */}
      <RouterProvider router={router as never} />
    </QueryClientProvider>,
  );
  return { ...shown, router };
}

/** A server with a run that failed with an answer. */
function failedAnswer(): [RecordedServer, string] {
  const failed = recording("failed");
  const history = failed.history.map((row) => (row.status === "failed" ? { ...row, signal_id: "s1" } : row));
  const server = new RecordedServer({ ...failed, history });
  const schema = { type: "object", properties: { note: { type: "string", title: "Note" } }, required: ["note"] };
  server.taken = { transition: "decide", title: "Decide", description: "", optional: false, schema, source: "review", target: "end", data: { note: "as it was" }, answered_by: "bob" };
  return [server, failed.run.workflow_id];
}

class NoObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}

// Reached by failures only: what loads a form takes its time on a busy machine.
configure({ asyncUtilTimeout: 60_000 });
vi.setConfig({ testTimeout: 120_000 });

/** It takes its time: these have everything that a page may hold. */
const FOR_AXE = new Set(["documents", "failed", "children", "chat"]);

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", NoObserver);
  vi.stubGlobal("IntersectionObserver", NoObserver);
  vi.stubGlobal("DOMMatrixReadOnly", class { m22 = 1; });
  window.matchMedia ??= (() => ({ matches: false, addEventListener: () => undefined, removeEventListener: () => undefined })) as never;
  Element.prototype.scrollTo = (() => undefined) as never;
  Element.prototype.scrollIntoView = () => undefined;
  localStorage.clear();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

describe.each(recordings().map((one) => [one.name, one] as const))("the page of %s", (_, run) => {
  it.each(RUN_TABS)("shows the tab %s", async (tab) => {
    const { container } = open(new RecordedServer(run), run.run.workflow_id, `?tab=${tab}`);
    await screen.findByRole("tab", { name: new RegExp(tab, "i"), selected: true }, { timeout: 5_000 });
    await waitFor(() => { expect(screen.queryByText(/^Loading/)).toBeNull(); }, { timeout: 8_000 });
    expect(screen.queryByRole("alert", { name: /can't be shown/ })).toBeNull();
    expect(container.textContent).not.toMatch(/can't be shown|couldn't be loaded/);
    if (!FOR_AXE.has(run.name)) return;
    const { violations } = await axe.run(container, { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
    expect(violations.map((one) => `${one.id}: ${one.nodes[0]?.html ?? ""}`)).toEqual([]);
  }, 20_000);
});

describe("a run's page", () => {
  it("follows the run without being loaded again", async () => {
    const review = recording("review");
    const server = new RecordedServer(review, 1);
    open(server, review.run.workflow_id, "?tab=history");
    await screen.findByText(/Waiting for/);
    server.tell(...review.events.slice(2));
    await screen.findByText(/^Completed .*, after/);
    expect(screen.getAllByRole("row")).toHaveLength(review.history.length + 1);
  });

  it("opens a failed run at what failed, and shows its stack", async () => {
    const failed = recording("failed");
    open(new RecordedServer(failed), failed.run.workflow_id, "?tab=history");
    await screen.findByText(/ConnectionError: The bank/, { selector: "code" });
    expect(screen.getByLabelText("Selected checkpoint").textContent).toMatch(/3: Charge failed in start/);
  });

  it("sends an answer once, with a key of its own", async () => {
    const waiting = recording("waiting");
    const server = new RecordedServer(waiting);
    open(server, waiting.run.workflow_id);
    const user = userEvent.setup();
    await user.click(await screen.findByRole("button", { name: "Withdraw the order" }));
    await waitFor(() => { expect(server.sent).toHaveLength(1); });
    expect(server.sent[0]).toMatchObject({ url: `/api/v1/runs/${waiting.run.workflow_id}/signals`, body: { name: "withdraw", data: null } });
    expect(server.sent[0]?.headers.get("Idempotency-Key")).toMatch(/^studio-1-/);
  });

  it("keeps what was typed when somebody else answers", async () => {
    const review = recording("review");
    const server = new RecordedServer(review, 1);
    open(server, review.run.workflow_id);
    const user = userEvent.setup();
    await user.type(await screen.findByRole("textbox", { name: "Note" }), "half");
    server.tell(...review.events.slice(2));
    await screen.findByText(/Answered by alice/);
    expect(screen.getByRole<HTMLInputElement>("textbox", { name: "Note" }).value).toBe("half");
    expect(server.sent).toEqual([]);
  });

  it("repairs a failed answer in place, and keeps what was typed when it is refused", async () => {
    const [server, id] = failedAnswer();
    open(server, id);
    const user = userEvent.setup();
    await user.click(await screen.findByRole("button", { name: "Retry with another answer…" }));
    const form = within(await screen.findByRole("group", { name: "Retry with another answer" }));
    const note = await form.findByRole<HTMLInputElement>("textbox", { name: "Note" });
    expect(note.value).toBe("as it was");
    await user.clear(note);
    await user.type(note, "another");
    server.refusal = { type: "urn:stepwell:invalid-payload", title: "Invalid payload", status: 422, detail: "note: too rude", errors: [{ loc: ["note"], msg: "too rude", type: "value_error" }] };
    await user.click(form.getByRole("button", { name: "Retry with this" }));
    await form.findByText(/too rude/, { selector: "li" });
    server.refusal = { type: "urn:stepwell:run-finished", title: "Run finished", status: 409, detail: "Run r is completed." };
    await user.click(form.getByRole("button", { name: "Retry with this" }));
    await form.findByText("Run finished: Run r is completed.");
    expect(note.value).toBe("another");
    server.refusal = null;
    await user.click(form.getByRole("button", { name: "Retry with this" }));
    await waitFor(() => { expect(screen.queryByRole("group", { name: "Retry with another answer" })).toBeNull(); });
    expect(server.sent.map((one) => one.body)).toEqual(Array(3).fill({ data: { note: "another" } }));
    expect(server.sent.at(-1)?.url).toBe(`/api/v1/runs/${id}/retry`);
  });

  it("edits the state of a failed run as JSON, from the schema", async () => {
    const failed = recording("failed");
    const server = new RecordedServer(failed);
    open(server, failed.run.workflow_id, "?repair=state");
    const form = within(await screen.findByRole("group", { name: "Retry with another state" }));
    await form.findByRole("button", { name: "JSON", pressed: true });
    await userEvent.setup().click(form.getByRole("button", { name: "Retry with this" }));
    await waitFor(() => { expect(server.sent).toHaveLength(1); });
    expect(server.sent[0]?.body).toEqual({ state: failed.run.state });
  });

  it("says that a run isn't there", async () => {
    open(new RecordedServer(recording("happy")), "nothing");
    await screen.findByText("There is no such run");
  });
});
