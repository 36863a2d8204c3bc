/** The changes between two texts, word by word. */

export interface Piece {
  sign: "=" | "+" | "-";
  text: string;
}

/** Above this number of words on both sides together, only equal beginnings and ends are found. */
const MOST = 2_000;

/** Pieces that give `before` without the `+` ones, and `after` without the `-` ones. */
export function wordDiff(before: string, after: string): Piece[] {
  return before.length + after.length > LARGE ? largeDiff(before, after) : smallDiff(before, after);
}

/** Above this number of characters on both sides together, equal beginnings and ends are compared by character, not by word. */
const LARGE = 50_000;

function largeDiff(before: string, after: string): Piece[] {
  const least = Math.min(before.length, after.length);
  let head = 0;
  while (head < least && before[head] === after[head]) head += 1;
  head = wordBegins(before, head);
  let tail = 0;
  while (tail < least - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  tail = before.length - wordEnds(before, before.length - tail);
  const [old, now] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  const changed: Piece[] = old.length + now.length > LARGE ? [{ sign: "-", text: old }, { sign: "+", text: now }] : smallDiff(old, now);
  const pieces: Piece[] = [{ sign: "=", text: before.slice(0, head) }, ...changed, { sign: "=", text: before.slice(before.length - tail) }];
  return joined(pieces.filter((one) => one.text !== ""));
}

const WORD = /[\p{L}\p{N}_]/u;
/** The longest word: anything longer may be cut anywhere. */
const LONGEST = 200;

/** Where the word at `at` begins: a change within a word is one of the word. */
function wordBegins(text: string, at: number): number {
  let begin = at;
  while (begin > 0 && at - begin < LONGEST && WORD.test(text[begin - 1] ?? "")) begin -= 1;
  return at - begin < LONGEST ? begin : at;
}

function wordEnds(text: string, at: number): number {
  let end = at;
  while (end < text.length && end - at < LONGEST && WORD.test(text[end] ?? "")) end += 1;
  return end - at < LONGEST ? end : at;
}

function smallDiff(before: string, after: string): Piece[] {
  const [a, b] = [tokens(before), tokens(after)];
  const head = alike(a, b);
  const tail = alike(a.slice(head).reverse(), b.slice(head).reverse());
  const middleA = a.slice(head, a.length - tail);
  const middleB = b.slice(head, b.length - tail);
  return joined([
    ...a.slice(0, head).map(piece("=")),
    ...middle(middleA, middleB),
    ...a.slice(a.length - tail).map(piece("=")),
  ]);
}

function tokens(text: string): string[] {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

function alike(a: readonly string[], b: readonly string[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}

const piece = (sign: Piece["sign"]) => (text: string): Piece => ({ sign, text });

function middle(a: readonly string[], b: readonly string[]): Piece[] {
  if (a.length + b.length > MOST) return [...a.map(piece("-")), ...b.map(piece("+"))];
  const common = lengths(a, b);
  const pieces: Piece[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      pieces.push(piece("=")(a[i] as string));
      [i, j] = [i + 1, j + 1];
    } else if (at(common, i + 1, j) >= at(common, i, j + 1)) pieces.push(piece("-")(a[i++] as string));
    else pieces.push(piece("+")(b[j++] as string));
  }
  return [...pieces, ...a.slice(i).map(piece("-")), ...b.slice(j).map(piece("+"))];
}

/** Lengths of the longest common subsequences of the rests from (i, j) on. */
function lengths(a: readonly string[], b: readonly string[]): Uint32Array[] {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const row = rows[i] as Uint32Array;
    for (let j = b.length - 1; j >= 0; j -= 1) {
      row[j] = a[i] === b[j] ? at(rows, i + 1, j + 1) + 1 : Math.max(at(rows, i + 1, j), at(rows, i, j + 1));
    }
  }
  return rows;
}

function at(rows: readonly Uint32Array[], i: number, j: number): number {
  return rows[i]?.[j] ?? 0;
}

function joined(pieces: readonly Piece[]): Piece[] {
  const result: Piece[] = [];
  for (const one of pieces) {
    const last = result.at(-1);
    if (last?.sign === one.sign) last.text += one.text;
    else result.push({ ...one });
  }
  return result;
}
