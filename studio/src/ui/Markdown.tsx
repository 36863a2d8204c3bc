import { lazy, memo, Suspense } from "react";
import { cn } from "./cn";
import { code } from "./code";

const Rendered = lazy(code(() => import("./markdown/Rendered")));

/** Markdown, rendered by a chunk that loads when it is first needed; until then the text as it is. */
export const Markdown = memo(function Markdown({ text, className }: { text: string; className?: string }) {
  return (
    <div dir="auto" className={cn("max-w-prose wrap-anywhere", className)}>
      <Suspense fallback={<p className="whitespace-pre-wrap">{text}</p>}>
        <Rendered text={text} />
      </Suspense>
    </div>
  );
});
