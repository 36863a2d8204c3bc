import type { Change } from "@/model/diff";
import type { Json } from "@/api/types";
import { cn } from "@/ui/cn";
import { JsonTree } from "@/ui/JsonTree";

const WORDS = { "+": "added", "-": "removed", "~": "changed" } as const;
const COLOURS = { "+": "text-added", "-": "text-removed", "~": "text-backoff" } as const;
/** More rows than this come on demand. */
const MOST = 500;

/** Path, what it was, what it is; the sign is a word, too. */
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
  if (change.words) {
    return (
      <span className="whitespace-pre-wrap">
        {change.words.map((piece, at) => {
          if (piece.sign === "=") return <span key={at}>{piece.text}</span>;
          return piece.sign === "+" ? (
            <ins key={at} className="tint-added text-added">
              {piece.text}
            </ins>
          ) : (
            <del key={at} className="tint-removed text-removed">
              {piece.text}
            </del>
          );
        })}
      </span>
    );
  }
  return (
    <>
      {change.old !== undefined && <Value value={change.old} className="text-removed" label="before" />}
      {change.sign === "~" && <span className="text-muted"> → </span>}
      {change.new !== undefined && <Value value={change.new} className="text-added" label="after" />}
    </>
  );
}

const SHORT = 120;

function Value({ value, className, label }: { value: Json; className: string; label: string }) {
  const text = JSON.stringify(value);
  if (text.length > SHORT && typeof value === "object") return <JsonTree value={value} label={label} depth={1} className="my-1" />;
  return <span className={className}>{text}</span>;
}
