import type { ReactNode } from "react";
import { useState } from "react";
import { Button } from "./Button";
import { CopyButton } from "./Copy";
import { beginningOf, grouped } from "./long";

export interface ClampedProps {
  text: string;
  /** What it is: "message", "value of note". */
  label: string;
  /** Texts up to this length are shown whole. */
  most?: number;
  children: (shown: string) => ReactNode;
}

/** A long text by its beginning; the rest when it is asked for. Copied is always all of it. */
export function Clamped({ text, label, most = 5_000, children }: ClampedProps) {
  const [all, setAll] = useState(false);
  if (text.length <= most) return children(text);
  return (
    <>
      {children(all ? text : beginningOf(text, most))}
      <span className="flex flex-wrap items-center gap-2 py-1 font-sans">
        <Button size="sm" aria-expanded={all} onClick={(event) => { event.stopPropagation(); setAll(!all); }}>
          {all ? "Show less" : `Show all ${grouped(text.length)} characters`}
        </Button>
        <CopyButton text={text} label={`Copy all of the ${label}`} />
      </span>
    </>
  );
}
