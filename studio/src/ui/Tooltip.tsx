import { Tooltip as Radix } from "radix-ui";
import type { ReactElement, ReactNode } from "react";

/** Shows `text` while its child is hovered or focused. The child must accept a ref and props, as a button does. */
export function Tooltip({ text, children, side = "bottom" }: { text: ReactNode; children: ReactElement; side?: "top" | "bottom" | "left" | "right" }) {
  return (
    // Its own provider: a part of a page works alone, in a test too.
    <Radix.Provider delayDuration={350}>
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className="z-50 max-w-72 rounded-sm bg-ink px-2 py-1 text-xs text-surface shadow-overlay"
        >
          {text}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
    </Radix.Provider>
  );
}
