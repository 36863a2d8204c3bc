/** What changed between two texts, word by word. */

export interface Piece {
  sign: "=" | "+" | "-";
  text: string;
}

/** Beyond so many words on both sides together, only the ends that are alike are found. */
const MOST = 2_000;

/** Pieces that give `before` without the `+` ones, and `after` without the `-` ones. */
export function wordDiff(before: string, after: string): Piece[] {
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
