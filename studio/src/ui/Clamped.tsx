import type { ReactNode } from "react";
import { useMemo, useState } from "react";
import { Button } from "./Button";
import { CopyButton } from "./Copy";
import { beginningOf, firstLinesOf, grouped } from "./long";

export interface ClampedProps {
  text: string;
  /** What it is: "message", "value of note". */
  label: string;
  /** Texts up to this length are shown in full; by default, up to a number of lines. */
  most?: number;
  children: (shown: string) => ReactNode;
}

/** The beginning of a long text, with the rest on demand. The whole text is copied. */
export function Clamped({ text, label, most, children }: ClampedProps) {
  const [all, setAll] = useState(false);
  const beginning = useMemo(() => (most === undefined ? firstLinesOf(text) : beginningOf(text, most)), [text, most]);
  if (beginning === text) return children(text);
  return (
    <>
      {children(all ? text : beginning)}
      <span className="flex flex-wrap items-center gap-2 py-1 font-sans">
        <Button size="sm" aria-expanded={all} onClick={(event) => { event.stopPropagation(); setAll(!all); }}>
          {all ? "Show less" : `Show all ${grouped(text.length)} characters`}
        </Button>
        <CopyButton text={text} label={`Copy all of the ${label}`} />
      </span>
    </>
  );
}

/** Text as it was written, in its own direction. */
export function PlainText({ text, label = "text", className = "max-w-prose" }: { text: string; label?: string; className?: string }) {
  return (
    <Clamped text={text} label={label}>
      {(shown) => (
        <p dir="auto" className={`wrap-anywhere whitespace-pre-wrap ${className}`}>
          {shown}
        </p>
      )}
    </Clamped>
  );
}
