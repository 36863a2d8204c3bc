/** Where a text stops being valid JSON, and what was expected there. Browsers report it in different ways, or not at all. */
export interface JsonFault {
  at: number;
  words: string;
}

class Stopped extends Error {
  readonly at: number;

  constructor(at: number, words: string) {
    super(words);
    this.at = at;
  }
}

/** The error in a text that JSON.parse rejected. */
export function faultIn(text: string): JsonFault {
  try {
    const end = space(text, value(text, space(text, 0)));
    return { at: end, words: "there is more after the end of the value" };
  } catch (error) {
    if (error instanceof Stopped) return { at: error.at, words: error.message };
    // Nested too deeply to locate the error.
    return { at: 0, words: "it can't be read" };
  }
}

function space(text: string, from: number): number {
  let at = from;
  while (/[ \t\n\r]/.test(text.charAt(at))) at += 1;
  return at;
}

function value(text: string, at: number): number {
  const first = text[at];
  if (first === "{") return members(text, at, "}", pair);
  if (first === "[") return members(text, at, "]", value);
  if (first === '"') return string(text, at);
  const rest = text.slice(at, at + 400);
  const found = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)/.exec(rest)?.[0];
  if (found !== undefined) return at + found.length;
  if (first === undefined) throw new Stopped(at, "it isn't finished, a value is missing");
  if (first === "'") throw new Stopped(at, "texts are in double quotes");
  throw new Stopped(at, "a value was expected (texts are in double quotes)");
}

function members(text: string, start: number, close: string, one: (text: string, at: number) => number): number {
  let at = space(text, start + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    at = space(text, one(text, at));
    if (text[at] === close) return at + 1;
    if (text[at] === undefined) throw new Stopped(at, `it isn't finished, a ${close} is missing`);
    if (text[at] !== ",") throw new Stopped(at, `a comma or ${close} was expected`);
    const comma = at;
    at = space(text, at + 1);
    if (text[at] === close) throw new Stopped(comma, "no comma is allowed after the last one");
  }
}

function pair(text: string, at: number): number {
  if (text[at] !== '"') throw new Stopped(at, text[at] === undefined ? "it isn't finished, a } is missing" : "a name in double quotes was expected");
  const colon = space(text, string(text, at));
  if (text[colon] !== ":") throw new Stopped(colon, "a colon was expected after the name");
  return value(text, space(text, colon + 1));
}

function string(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const one = text[at];
    if (one === '"') return at + 1;
    if (one === undefined) throw new Stopped(start, "the text that begins here isn't closed");
    if (one < " ") throw new Stopped(at, one === "\n" ? "a text can't contain a line end; write \\n" : "a control character has to be written as \\u00xx");
    if (one !== "\\") continue;
    const escape = /^(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(text.slice(at + 1, at + 6))?.[0];
    if (escape === undefined) throw new Stopped(at, "this backslash doesn't begin a known escape");
    at += escape.length;
  }
}
