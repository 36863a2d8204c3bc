import { Check, Copy } from "lucide-react";
import type { ReactNode } from "react";
import { useEffect, useState } from "react";
import { Button, IconButton } from "./Button";
import { cn } from "./cn";

/** True if `text` is in the clipboard now; works on plain http too, where browsers have no clipboard API. */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Not permitted: the older way below may work.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "fixed opacity-0";
  (document.activeElement?.closest("[role=dialog]") ?? document.body).append(area);
  area.select();
  // The only way to copy outside of secure contexts.
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** The result of `copy`, for a moment. */
function useCopy(text: string | (() => string)) {
  const [state, setState] = useState<"copied" | "refused" | null>(null);
  useEffect(() => {
    const timer = state && setTimeout(() => { setState(null); }, 1500);
    return () => { if (timer) clearTimeout(timer); };
  }, [state]);
  const copy = () => void copyText(typeof text === "string" ? text : text()).then((done) => { setState(done ? "copied" : "refused"); });
  return { state, copy };
}

const WORDS = { copied: "Copied", refused: "The browser refused to copy" } as const;

export function CopyButton({ text, label = "Copy", children, className }: { text: string | (() => string); label?: string; children?: ReactNode; className?: string }) {
  const { state, copy } = useCopy(text);
  const icon = state === "copied" ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />;
  return (
    <>
      {children ? (
        <Button size="sm" icon={icon} onClick={copy} className={cn(className)}>
          {state ? WORDS[state] : children}
        </Button>
      ) : (
        <IconButton size="sm" label={state ? WORDS[state] : label} onClick={copy} className={cn("text-muted", className)}>
          {icon}
        </IconButton>
      )}
      <span role="status" className="sr-only">
        {state && WORDS[state]}
      </span>
    </>
  );
}

/** An id: short, whole in its title, copied by its button. `children` replaces the short text, for example by a link. */
export function CopyId({ id, children, length = 8 }: { id: string; children?: ReactNode; length?: number }) {
  return (
    <span className="inline-flex max-w-full items-center gap-0.5 whitespace-nowrap">
      {children ?? (
        <code title={id}>{shortId(id, length)}</code>
      )}
      <CopyButton text={id} label={`Copy ${id}`} />
    </span>
  );
}

/** The end of an id: time-ordered ids of one day begin alike. */
export function shortId(id: string, length = 8): string {
  return id.length <= length + 2 ? id : `…${id.slice(-length)}`;
}
