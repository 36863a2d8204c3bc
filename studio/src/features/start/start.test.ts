import { describe, expect, test } from "vitest";
import { commandLine, curl, literal, python } from "./commands";
import { faultsOf, labelsOf, NO_OPTIONS, startOf } from "./request";

const WORKFLOW = { app_name: "shop", name: "order" };

describe("the request", () => {
  test("says nothing that wasn't said", () => {
    expect(startOf(WORKFLOW, { item: "x" }, NO_OPTIONS)).toEqual({ request: { app_name: "shop", workflow: "order", args: { item: "x" } }, key: undefined });
    expect(startOf(WORKFLOW, undefined, NO_OPTIONS).request).not.toHaveProperty("args");
  });

  test("has the options in the server's words", () => {
    const { request, key } = startOf(WORKFLOW, null, { ...NO_OPTIONS, labels: "a, b,a\n", when: "in", amount: "1.5", unit: "hours", priority: "-2", key: " k ", workspace: "w", user: "ada" });
    expect(request).toEqual({ app_name: "shop", workflow: "order", args: null, labels: ["a", "b"], delay_seconds: 5400, priority: -2, workspace_id: "w", user_id: "ada" });
    expect(key).toBe("k");
    expect(startOf(WORKFLOW, null, { ...NO_OPTIONS, when: "at", at: "2026-11-25T10:00" }).request.at).toBe("2026-11-25T10:00:00.000Z");
  });

  test("is refused where an option is no such thing", () => {
    expect(faultsOf(NO_OPTIONS)).toEqual({});
    expect(Object.keys(faultsOf({ ...NO_OPTIONS, when: "in", amount: "", priority: "high" }))).toEqual(["amount", "priority"]);
    expect(Object.keys(faultsOf({ ...NO_OPTIONS, when: "at", at: "" }))).toEqual(["at"]);
  });

  test("labels are words between commas or lines", () => {
    expect(labelsOf(" a:1 ,, b\nc")).toEqual(["a:1", "b", "c"]);
  });
});

describe("the same from elsewhere", () => {
  const start = startOf(WORKFLOW, { note: "it's", gift: true, none: null, lines: [{ n: 1 }] }, { ...NO_OPTIONS, key: "k", labels: "a b", when: "in", amount: "60", unit: "seconds" });

  test("curl quotes for the shell", () => {
    expect(curl(start, "https://x.example/api/v1")).toBe(
      `curl -X POST https://x.example/api/v1/runs \\\n  -H "Authorization: Bearer $STEPWELL_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -H 'Idempotency-Key: k' \\\n` +
        `  -d '{"app_name":"shop","workflow":"order","args":{"note":"it'\\''s","gift":true,"none":null,"lines":[{"n":1}]},"labels":["a b"],"delay_seconds":60}'`,
    );
  });

  test("the command line says what it has no option for", () => {
    expect(commandLine(start)).toContain("# The command line has no option for: delay_seconds\nstepwell run order");
    expect(commandLine(start)).toContain("--label 'a b'");
  });

  test("Python has Python's words", () => {
    expect(python(start)).toBe(
      `from datetime import timedelta\n\nrun = await runner.run(\n    "order",\n    {\n        "note": "it's",\n        "gift": True,\n        "none": None,\n        "lines": [{\n            "n": 1,\n        }],\n    },\n` +
        `    app_name="shop",\n    labels=["a b"],\n    idempotency_key="k",\n    delay=timedelta(seconds=60),\n)`,
    );
    expect(literal([])).toBe("[]");
  });
});
