import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { Button } from "./Button";
import { cn } from "./cn";

export interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: ReactNode;
  description?: ReactNode;
  children?: ReactNode;
  /** Its buttons, the confirming one last. */
  footer?: ReactNode;
  wide?: boolean;
  /** At the right edge and as high as the window: an inspector on a narrow screen. */
  sheet?: boolean;
}

const CENTERED = "top-[8vh] left-1/2 max-h-[84vh] -translate-x-1/2 rounded-md";
const SHEET = "inset-y-0 right-0 h-full max-w-[min(28rem,100vw)]";

export function Dialog({ open, onOpenChange, title, description, children, footer, wide = false, sheet = false }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/40" />
        <Radix.Content
          {...(description ? {} : { "aria-describedby": undefined })}
          className={cn(
            "fixed z-40 flex w-[calc(100vw-1rem)] flex-col bg-surface shadow-overlay",
            sheet ? SHEET : CENTERED,
            !sheet && (wide ? "max-w-3xl" : "max-w-lg"),
          )}
        >
          <header className="flex items-start gap-3 border-b px-4 py-3">
            <div className="min-w-0 grow">
              <Radix.Title className="wrap-anywhere">{title}</Radix.Title>
              {description && <Radix.Description className="text-muted">{description}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              {/* Without a tooltip: that would open with the dialog, and take the first Escape for itself. */}
              <Button variant="ghost" aria-label="Close" className="size-6 px-0!">
                <X size={16} aria-hidden />
              </Button>
            </Radix.Close>
          </header>
          {children && <div className="min-h-0 grow overflow-y-auto px-4 py-3">{children}</div>}
          {footer && <footer className="flex flex-wrap justify-end gap-2 border-t px-4 py-3">{footer}</footer>}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
