import { useMemo, useState } from "react";
import type { Json } from "@/api/types";
import type { Change } from "@/model/diff";
import type { Piece } from "@/model/words-diff";
import { Button } from "@/ui/Button";
import { Clamped } from "@/ui/Clamped";
import { cn } from "@/ui/cn";
import { CopyButton } from "@/ui/Copy";
import { JsonTree } from "@/ui/JsonTree";
import { beginningOf, endsOf, grouped } from "@/ui/long";

const WORDS = { "+": "added", "-": "removed", "~": "changed" } as const;
const COLOURS = { "+": "text-added", "-": "text-removed", "~": "text-backoff" } as const;
/** Further rows are shown on demand. */
const MOST = 500;

/** Path, old value, new value; the sign has a text alternative. */
export function Changes({ changes }: { changes: readonly Change[] }) {
  if (changes.length === 0) return <p className="py-1 text-muted">Nothing changed.</p>;
  return (
    <div role="region" aria-label="Changes" tabIndex={0} className="overflow-x-auto">
      <table className="w-full border-collapse text-left font-mono text-xs">
        <thead className="sr-only">
          <tr>
            <th scope="col">Change</th>
            <th scope="col">Path</th>
            <th scope="col">Values</th>
          </tr>
        </thead>
        <tbody>
          {changes.slice(0, MOST).map((change) => (
            <tr key={`${change.sign}${change.at}`} className="border-b border-line/60 align-top">
              <td className={cn("w-5 py-1 pr-1 font-semibold", COLOURS[change.sign])}>
                <span aria-hidden>{change.sign}</span>
                <span className="sr-only">{WORDS[change.sign]}</span>
              </td>
              <th scope="row" className="max-w-60 min-w-24 py-1 pr-3 font-normal wrap-anywhere">
                {change.at || "(all of it)"}
              </th>
              <td className="py-1 wrap-anywhere">
                <Values change={change} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {changes.length > MOST && <p className="text-muted">{changes.length - MOST} more changes aren't listed.</p>}
    </div>
  );
}

function Values({ change }: { change: Change }) {
  if (change.words) return <Words pieces={change.words} />;
  return (
    <>
      {change.old !== undefined && <Value value={change.old} className="text-removed" label="before" />}
      {change.sign === "~" && <span className="text-muted"> → </span>}
      {change.new !== undefined && <Value value={change.new} className="text-added" label="after" />}
    </>
  );
}

/** Above this length, unchanged text is left out, and changed text is shortened to its beginning. */
const LONG = 2_000;
const LONG_PIECE = 500;

function Words({ pieces }: { pieces: readonly Piece[] }) {
  const [all, setAll] = useState(false);
  const length = useMemo(() => pieces.reduce((sum, piece) => sum + piece.text.length, 0), [pieces]);
  const whole = all || length <= LONG;
  return (
    <>
      <span className="whitespace-pre-wrap">
        {pieces.map((piece, at) => {
          if (piece.sign === "=") return <span key={at}>{whole ? piece.text : endsOf(piece.text)}</span>;
          const text = whole ? piece.text : beginningOf(piece.text, LONG_PIECE);
          return piece.sign === "+" ? (
            <ins key={at} className="tint-added text-added">
              {text}
            </ins>
          ) : (
            <del key={at} className="tint-removed text-removed">
              {text}
            </del>
          );
        })}
      </span>
      {length > LONG && (
        <span className="flex flex-wrap items-center gap-2 py-1 font-sans">
          <Button size="sm" aria-expanded={all} onClick={() => { setAll(!all); }}>
            {all ? "Show less" : `Show all ${grouped(length)} characters`}
          </Button>
          <CopyButton text={() => textOf(pieces, "-")}>Copy the old value</CopyButton>
          <CopyButton text={() => textOf(pieces, "+")}>Copy the new value</CopyButton>
        </span>
      )}
    </>
  );
}

function textOf(pieces: readonly Piece[], side: "+" | "-"): string {
  return pieces.filter((piece) => piece.sign === "=" || piece.sign === side).map((piece) => piece.text).join("");
}

const SHORT = 120;

function Value({ value, className, label }: { value: Json; className: string; label: string }) {
  if (typeof value === "object" && value !== null && JSON.stringify(value).length > SHORT) {
    return <JsonTree value={value} label={label} depth={1} className="my-1" />;
  }
  if (typeof value !== "string") return <span className={className}>{JSON.stringify(value)}</span>;
  return (
    <Clamped text={value} label={`text ${label}`} most={LONG_PIECE}>
      {(shown) => <span className={className}>{JSON.stringify(shown)}</span>}
    </Clamped>
  );
}
