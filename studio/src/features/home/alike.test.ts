import { expect, test } from "vitest";
import { filterOf } from "./alike";

const group = (error: string) => filterOf({ app_name: "shop", workflow_name: "charge", error }).q;

test("failed runs are found by what is the same in their errors", () => {
  expect(group("CardRefused: The card of order 'A-7' was refused (code 51)")).toBe("CardRefused: The card of order");
  expect(group("TimeoutError")).toBe("TimeoutError");
  expect(group("HTTP 503 from 0xff: the bank is closed")).toBe(": the bank is closed");
  expect(group("42")).toBeUndefined();
  expect(group("no error was stored")).toBeUndefined();
});
