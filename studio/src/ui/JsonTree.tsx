import { ChevronDown, ChevronRight } from "lucide-react";
import type { KeyboardEvent } from "react";
import { useMemo, useRef, useState } from "react";
import { cn } from "./cn";
import { Clamped } from "./Clamped";
import { CopyButton } from "./Copy";
import type { JsonLine, Rest } from "./json";
import { linesOf, SHOWN, summary } from "./json";

export interface JsonTreeProps {
  value: unknown;
  label: string;
  /** Levels that are open at first. */
  depth?: number;
  className?: string;
}

/** JSON as a tree: the arrow keys move and fold, and every value can be copied. */
export function JsonTree({ value, label, depth = 2, className }: JsonTreeProps) {
  const [folds, setFolds] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [more, setMore] = useState<ReadonlyMap<string, number>>(new Map());
  const [focus, setFocus] = useState("$");
  const tree = useRef<HTMLDivElement>(null);
  const lines = useMemo(
    () => linesOf(value, (path, at) => folds.get(path) ?? at < depth, (path) => more.get(path) ?? SHOWN),
    [value, folds, more, depth],
  );
  const fold = (path: string, open: boolean) => { setFolds((known) => new Map(known).set(path, open)); };
  const go = (at: number) => {
    const line = lines[at];
    if (!line) return;
    setFocus(line.path);
    tree.current?.querySelectorAll<HTMLElement>("[role=treeitem]")[at]?.focus();
  };
  const onKeyDown = (event: KeyboardEvent, line: JsonLine | Rest, at: number) => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 }[event.key];
    if (to !== undefined) go(to);
    else if ("more" in line) {
      if (event.key !== "Enter" && event.key !== "ArrowRight") return;
      setMore((known) => new Map(known).set(line.of, (known.get(line.of) ?? SHOWN) + 1000));
    } else if (event.key === "ArrowRight" && line.size) fold(line.path, true);
    else if (event.key === "ArrowLeft") {
      if (line.open) fold(line.path, false);
      else go(lines.findLastIndex((one, index) => index < at && one.depth < line.depth));
    } else if (event.key === "Enter" && line.size) fold(line.path, !line.open);
    else return;
    event.preventDefault();
  };
  const focused = lines.some((line) => line.path === focus) ? focus : "$";
  return (
    <div className={cn("relative rounded-md border bg-subtle", className)}>
      <div className="absolute top-1 right-1 z-10">
        <CopyButton text={() => JSON.stringify(value, null, 2)} label={`Copy ${label} as JSON`} />
      </div>
      <div ref={tree} role="tree" aria-label={label} className="max-h-[70vh] overflow-auto py-1.5 pr-10 font-mono text-xs">
        {lines.map((line, at) => (
          <div
            key={line.path}
            role="treeitem"
            aria-level={line.depth + 1}
            aria-selected={false}
            aria-expanded={"more" in line || !line.size ? undefined : line.open}
            tabIndex={line.path === focused ? 0 : -1}
            data-inset-focus
            className="flex min-h-5 cursor-default items-start gap-1 px-2 hover:bg-hover"
            style={{ paddingLeft: 8 + line.depth * 14 }}
            onFocus={() => { setFocus(line.path); }}
            onKeyDown={(event) => { onKeyDown(event, line, at); }}
            onClick={() => {
              if ("more" in line) setMore((known) => new Map(known).set(line.of, (known.get(line.of) ?? SHOWN) + 1000));
              else if (line.size && window.getSelection()?.type !== "Range") fold(line.path, !line.open);
            }}
          >
            {"more" in line ? <span className="pl-4 text-accent">{line.more} more…</span> : <Line line={line} />}
          </div>
        ))}
      </div>
    </div>
  );
}

function Line({ line }: { line: JsonLine }) {
  const Chevron = line.open ? ChevronDown : ChevronRight;
  return (
    <>
      <span className="mt-0.5 w-3.5 shrink-0 text-muted">{line.size ? <Chevron size={14} aria-hidden /> : null}</span>
      <span className="min-w-0 wrap-anywhere whitespace-pre-wrap">
        {line.name !== null && <span className={typeof line.name === "number" ? "text-muted" : "text-ink"}>{line.name}: </span>}
        <JsonValue value={line.value} open={line.open} />
      </span>
    </>
  );
}

/** Longer texts are shortened to their beginning. */
const LONG = 2_000;

/** A leaf as it is; a folded object or array as its size. */
export function JsonValue({ value, open = false }: { value: unknown; open?: boolean }) {
  if (typeof value === "string") {
    return (
      <Clamped text={value} label="text" most={LONG}>
        {(shown) => <span dir="auto" className="text-(--code-string)">{JSON.stringify(shown)}</span>}
      </Clamped>
    );
  }
  if (typeof value === "number") return <span className="text-(--code-number)">{String(value)}</span>;
  if (typeof value === "object" && value !== null) return <span className="text-muted">{open ? (Array.isArray(value) ? "[" : "{") : summary(value)}</span>;
  return <span className="text-(--code-word)">{String(value)}</span>;
}
