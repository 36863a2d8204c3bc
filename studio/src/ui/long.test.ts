import { describe, expect, it } from "vitest";
import { beginningOf, endsOf, firstLinesOf, grouped } from "./long";

const lines = (count: number) => Array.from({ length: count }, (_, at) => `line ${String(at + 1)}`).join("\n");

describe("a long text", () => {
  it("is cut between signs", () => {
    expect(beginningOf("abc", 3)).toBe("abc");
    expect(beginningOf("abcd", 3)).toBe("abc…");
    expect(beginningOf("ab😀d", 3)).toBe("ab…");
  });

  it("is shown by its first lines, unless only a little more would follow", () => {
    for (const short of ["", lines(24), lines(28), "x".repeat(3100)]) expect(firstLinesOf(short)).toBe(short);
    expect(firstLinesOf(lines(100))).toBe(`${lines(24)}…`);
    expect(firstLinesOf("x".repeat(20_000))).toBe(`${"x".repeat(3000)}…`);
    expect(firstLinesOf(`x${"👩".repeat(5000)}`)).toBe(`x${"👩".repeat(1499)}…`);
  });

  it("is told by its ends", () => {
    expect(endsOf("short")).toBe("short");
    expect(endsOf(`a${"x".repeat(500)}b`)).toMatch(/^ax{59} … x{59}b$/);
  });

  it("is counted so that it can be read", () => {
    expect(grouped(1_048_576)).toBe("1,048,576");
  });
});
