import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { type ReactNode, type RefObject, useLayoutEffect, useRef, useState } from "react";
import { Button } from "@/ui/Button";
import { cn } from "@/ui/cn";

export interface Place {
  "aria-setsize": number;
  "aria-posinset": number;
}

export interface ScrollerProps<Item> {
  label: string;
  items: readonly Item[];
  itemKey: (item: Item) => string;
  /** The item as an article; `place` is for its attributes. */
  render: (item: Item, place: Place) => ReactNode;
  /** Above the first item. */
  head?: ReactNode;
  /** Below the last one. */
  tail?: ReactNode;
  /** The last item is the newest: it stays in view unless the user scrolls away. */
  follows?: boolean;
  className: string;
}

/** Up to this number all items are in the document: find, copy and screen readers just work. */
export const VIRTUAL_FROM = 200;
/** Positions this near to the end count as the end. */
const NEAR = 64;

/**
 * A list that is read from its end. At the end it follows new items; anywhere else nothing moves, and a button says how
 * much is new.
 */
export function Scroller<Item>(props: ScrollerProps<Item>) {
  return props.items.length > VIRTUAL_FROM ? <Virtual {...props} /> : <Plain {...props} />;
}

function Plain<Item>({ label, items, itemKey, render, head, tail, follows = true, className }: ScrollerProps<Item>) {
  const box = useRef<HTMLDivElement>(null);
  const end = useEnd(box, items, itemKey, follows);
  useStay(box, items[0] === undefined ? "" : itemKey(items[0]), end.is && follows);
  return (
    <Frame end={end} onJump={() => { jump(box); }}>
      <div ref={box} role="region" aria-label={label} tabIndex={0} data-inset-focus onScroll={end.onScroll} className={cn("overflow-y-auto overscroll-contain", className)}>
        {head}
        <div role="feed" aria-label={label}>
          {items.map((item, at) => (
            <div key={itemKey(item)}>{render(item, placeOf(at, items.length))}</div>
          ))}
        </div>
        {tail}
      </div>
    </Frame>
  );
}

function Virtual<Item>({ label, items, itemKey, render, head, tail, follows = true, className }: ScrollerProps<Item>) {
  const box = useRef<HTMLDivElement>(null);
  const end = useEnd(box, items, itemKey, follows);
  const virtualizer = useVirtualizer({
    count: items.length,
    getScrollElement: () => box.current,
    estimateSize: () => 96,
    getItemKey: (at) => itemKey(items[at] as Item),
    overscan: 8,
    anchorTo: "end",
    followOnAppend: follows,
    scrollEndThreshold: NEAR,
  });
  useLayoutEffect(() => {
    virtualizer.scrollToEnd({});
    // Once, when it opens: later the virtualizer follows by itself.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  return (
    <Frame end={end} onJump={() => { virtualizer.scrollToEnd({}); }}>
      <div ref={box} role="region" aria-label={label} tabIndex={0} data-inset-focus onScroll={end.onScroll} className={cn("overflow-y-auto overscroll-contain [overflow-anchor:none]", className)}>
        {head}
        <div role="feed" aria-label={label} className="relative" style={{ height: virtualizer.getTotalSize() }}>
          {virtualizer.getVirtualItems().map((row) => (
            <div
              key={row.key}
              ref={virtualizer.measureElement}
              data-index={row.index}
              className="absolute inset-x-0 top-0"
              style={{ transform: `translateY(${String(row.start)}px)` }}
            >
              {render(items[row.index] as Item, placeOf(row.index, items.length))}
            </div>
          ))}
        </div>
        {tail}
      </div>
    </Frame>
  );
}

function placeOf(at: number, count: number): Place {
  return { "aria-setsize": count, "aria-posinset": at + 1 };
}

function Frame({ end, onJump, children }: { end: End; onJump: () => void; children: ReactNode }) {
  return (
    <div className="relative min-w-0">
      {children}
      {end.unseen > 0 && (
        <div className="pointer-events-none absolute inset-x-0 bottom-2 flex justify-center">
          <Button size="sm" variant="primary" className="pointer-events-auto shadow-overlay" icon={<ArrowDown size={14} aria-hidden />} onClick={onJump}>
            {end.unseen} new
          </Button>
        </div>
      )}
    </div>
  );
}

interface End {
  is: boolean;
  /** Items that came while the reader was elsewhere. */
  unseen: number;
  onScroll: () => void;
}

function useEnd<Item>(box: RefObject<HTMLDivElement | null>, items: readonly Item[], itemKey: (item: Item) => string, follows: boolean): End {
  const [is, setIs] = useState(true);
  const last = items.at(-1);
  const lastKey = last === undefined ? "" : itemKey(last);
  const [seen, setSeen] = useState(lastKey);
  if (is && seen !== lastKey) setSeen(lastKey);
  const onScroll = () => {
    if (box.current) setIs(isAtEnd(box.current));
  };
  // Counted from the end: older ones that are put in front aren't new.
  const unseen = is || !follows || seen === lastKey ? 0 : items.length - 1 - items.findLastIndex((item) => itemKey(item) === seen);
  return { is, unseen, onScroll };
}

/** At the end it stays at the end, whatever grows; elsewhere the visible items don't move when older ones are added before them. */
function useStay(box: RefObject<HTMLDivElement | null>, firstKey: string, atEnd: boolean): void {
  const before = useRef({ firstKey, height: 0 });
  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    if (atEnd) jump(box);
    else if (before.current.firstKey !== firstKey) current.scrollBy({ top: current.scrollHeight - before.current.height });
    before.current = { firstKey, height: current.scrollHeight };
  });
  useLayoutEffect(() => {
    const { current } = box;
    if (!current || !atEnd) return;
    // Markdown and pictures get their height after they are rendered.
    const observer = new ResizeObserver(() => { jump(box); });
    for (const child of current.children) observer.observe(child);
    return () => { observer.disconnect(); };
  }, [box, atEnd, firstKey]);
}

function jump(box: RefObject<HTMLDivElement | null>): void {
  box.current?.scrollTo({ top: box.current.scrollHeight });
}

function isAtEnd({ scrollTop, clientHeight, scrollHeight }: HTMLElement): boolean {
  return scrollHeight - scrollTop - clientHeight <= NEAR;
}
