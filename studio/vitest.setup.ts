import { afterEach } from "vitest";

// Component tests say `// @vitest-environment jsdom` on top; the others need no document.
if (typeof document !== "undefined") {
  const { cleanup } = await import("@testing-library/react");
  afterEach(cleanup);
}
