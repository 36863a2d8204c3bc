import { CircleCheck, Info, TriangleAlert, X } from "lucide-react";
import { Toast as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { useSyncExternalStore } from "react";
import { IconButton } from "./Button";
import { wordsOf } from "./States";

export interface Message {
  title: string;
  detail?: string | undefined;
  tone?: "info" | "done" | "error";
  /** One thing to do about it: "Open run". */
  action?: { label: string; run: () => void } | undefined;
}

type Shown = Message & { id: number };

let shown: readonly Shown[] = [];
let count = 0;
const listeners = new Set<() => void>();

function set(next: readonly Shown[]) {
  shown = next;
  for (const listener of listeners) listener();
}

/** Reports something that has just happened; it disappears by itself. */
export function toast(message: Message): void {
  count += 1;
  // People read four at most; more would only cover the page.
  set([...shown, { ...message, id: count }].slice(-4));
}

/** Reports an action that failed: "The run couldn't be cancelled". */
export function toastError(title: string, error: unknown): void {
  const { title: name, detail } = wordsOf(error);
  toast({ title, detail: detail || name, tone: "error" });
}

const ICONS: Record<NonNullable<Message["tone"]>, ReactNode> = {
  info: <Info size={16} className="mt-0.5 text-accent" aria-hidden />,
  done: <CircleCheck size={16} className="mt-0.5 text-completed" aria-hidden />,
  error: <TriangleAlert size={16} className="mt-0.5 text-failed" aria-hidden />,
};

/** Rendered once, in the shell. */
export function Toasts() {
  const messages = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <Radix.Provider swipeDirection="right" label="Notification">
      {messages.map((message) => (
        <Radix.Root
          key={message.id}
          type={message.tone === "error" ? "foreground" : "background"}
          duration={message.tone === "error" ? 12_000 : 6_000}
          onOpenChange={(open) => { if (!open) set(shown.filter((one) => one.id !== message.id)); }}
          className="flex items-start gap-2 rounded-md bg-surface p-3 shadow-overlay"
        >
          {ICONS[message.tone ?? "info"]}
          <div className="min-w-0 grow">
            <Radix.Title className="font-medium wrap-anywhere">{message.title}</Radix.Title>
            {message.detail && <Radix.Description className="max-h-40 overflow-y-auto wrap-anywhere text-muted">{message.detail}</Radix.Description>}
            {message.action && (
              <Radix.Action asChild altText={message.action.label}>
                <button type="button" className="prose-link mt-1 min-h-6" onClick={message.action.run}>
                  {message.action.label}
                </button>
              </Radix.Action>
            )}
          </div>
          <Radix.Close asChild>
            <IconButton label="Dismiss" size="sm">
              <X size={14} aria-hidden />
            </IconButton>
          </Radix.Close>
        </Radix.Root>
      ))}
      {/* In the corner: the page's own messages are at the top, and the next button to press is rarely there. */}
      <Radix.Viewport className="pointer-events-none fixed right-2 bottom-2 z-50 flex w-[calc(100vw-1rem)] max-w-sm flex-col gap-2 outline-none *:pointer-events-auto sm:right-4 sm:bottom-4" />
    </Radix.Provider>
  );
}
