import { describe, expect, it } from "vitest";
import { recording, recordings } from "@/model/recordings";
import { cellText, shapeOf } from "./shape";

describe("a document", () => {
  it("is shown by what it is", () => {
    const kinds = recording("documents").documents.map((one) => [one.name, shapeOf(one).kind]);
    expect(Object.fromEntries(kinds)).toEqual({
      message: "message",
      progress: "json",
      table: "table",
      code: "code",
      odd: "json",
      markdown: "markdown",
    });
    expect(shapeOf(recording("failed").documents[0]!)).toMatchObject({ kind: "error", type: "ConnectionError", attempt: 1 });
    expect(shapeOf(recording("children").documents[0]!)).toMatchObject({ kind: "link", label: "Parcel 1", inline: true });
  });

  it("that isn't what its name says is JSON", () => {
    for (const name of ["message", "markdown", "link", "error"]) expect(shapeOf({ name, content: { x: 1 } }).kind).toBe("json");
    expect(shapeOf({ name: "t", content: { rows: [] } }).kind).toBe("json");
    expect(shapeOf({ name: "t", content: { rows: [1] } }).kind).toBe("json");
    expect(shapeOf({ name: "t", content: { rows: [{}], more: 1 } }).kind).toBe("json");
  });

  it("of rows is a table with the columns of all rows", () => {
    expect(shapeOf({ name: "t", content: { rows: [{ a: 1 }, { b: null }] } })).toMatchObject({ columns: ["a", "b"] });
    expect([cellText(null), cellText("x"), cellText(1), cellText({ a: [] })]).toEqual(["", "x", "1", '{"a":[]}']);
  });

  it("with code among other fields shows them all", () => {
    expect(shapeOf({ name: "c", content: { code: "x = 1", language: "python" } }).kind).toBe("code");
    expect(shapeOf({ name: "discount", content: { code: "SPRING", percent: 10 } }).kind).toBe("json");
  });

  it("of any recording has a shape", () => {
    for (const { documents } of recordings()) for (const one of documents) expect(shapeOf(one).kind).toBeTruthy();
  });
});
