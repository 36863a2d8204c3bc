import { expect, test } from "vitest";
import { safeHref } from "./links";

test.each(["https://example.com/a", "HTTP://example.com", "mailto:a@example.com"])("%s is a link", (href) => {
  expect(safeHref(href)).toBe(href);
});

test.each(["javascript:alert(1)", "JAVASCRIPT:alert(1)", " javascript:alert(1)", "data:text/html,x", "//evil.example", "/api/v1/me", "vbscript:x", "", undefined])(
  "%s is none",
  (href) => {
    expect(safeHref(href)).toBeNull();
  },
);
