import { describe, expect, it } from "vitest";
import { beginningOf, endsOf, grouped } from "./long";

describe("a long text", () => {
  it("is cut between signs", () => {
    expect(beginningOf("abc", 3)).toBe("abc");
    expect(beginningOf("abcd", 3)).toBe("abc…");
    expect(beginningOf("ab😀d", 3)).toBe("ab…");
  });

  it("is told by its ends", () => {
    expect(endsOf("short")).toBe("short");
    expect(endsOf(`a${"x".repeat(500)}b`)).toMatch(/^ax{59} … x{59}b$/);
  });

  it("is counted so that it can be read", () => {
    expect(grouped(1_048_576)).toBe("1,048,576");
  });
});
