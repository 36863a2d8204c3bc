import type { ReactNode } from "react";
import { useMemo, useState } from "react";
import { Button } from "./Button";
import { beginningOf, sizeOf } from "./fold";

/** A text of any length: of a long one the beginning, until somebody asks for all of it. `children` draws what is shown. */
export function Folded({ text, children }: { text: string; children: (shown: string) => ReactNode }) {
  const beginning = useMemo(() => beginningOf(text), [text]);
  const [open, setOpen] = useState(false);
  if (beginning === null) return children(text);
  return (
    <>
      {children(open ? text : `${beginning}\n…`)}
      <Button size="sm" className="mt-1" aria-expanded={open} onClick={() => { setOpen(!open); }}>
        {open ? "Show less" : `Show all (${sizeOf(text)})`}
      </Button>
    </>
  );
}

/** Text as it was written, in its own direction. */
export function PlainText({ text, className = "max-w-prose" }: { text: string; className?: string }) {
  return (
    <Folded text={text}>
      {(shown) => (
        <p dir="auto" className={`wrap-anywhere whitespace-pre-wrap ${className}`}>
          {shown}
        </p>
      )}
    </Folded>
  );
}
