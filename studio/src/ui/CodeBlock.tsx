import { cn } from "./cn";
import { Clamped } from "./Clamped";
import { CopyButton } from "./Copy";

export interface CodeBlockProps {
  code: string;
  /** What it is: "Error trace", "curl command". */
  label: string;
  language?: string | undefined;
  wrap?: boolean;
  className?: string;
}

/** Code to read and to copy, as it is. */
export function CodeBlock({ code, label, language, wrap = false, className }: CodeBlockProps) {
  return (
    <div className={cn("relative rounded-md border bg-subtle", className)}>
      <div className="absolute top-1 right-1 flex items-center gap-1">
        {language && <span className="text-xs text-muted">{language}</span>}
        <CopyButton text={code} label={`Copy: ${label}`} />
      </div>
      <Clamped text={code} label={label} most={20_000}>
        {(shown) => (
          <pre
            tabIndex={0}
            role="group"
            aria-label={label}
            data-inset-focus
            className={cn("max-h-[60vh] overflow-auto p-3 pr-16", wrap && "wrap-anywhere whitespace-pre-wrap")}
          >
            <code>{shown}</code>
          </pre>
        )}
      </Clamped>
    </div>
  );
}
