import { useVirtualizer } from "@tanstack/react-virtual";
import type { ReactNode, Ref } from "react";
import { useImperativeHandle, useRef } from "react";
import { cn } from "./cn";

export interface VirtualListHandle {
  scrollTo: (index: number) => void;
}

export interface VirtualListProps<Item> {
  label: string;
  items: readonly Item[];
  itemKey: (item: Item, at: number) => string | number;
  render: (item: Item, at: number) => ReactNode;
  /** Fixed, in pixels: items of varying heights would make the list jump. */
  rowHeight: number;
  /** The class for the list's height: "h-96", "max-h-[60vh]". */
  className: string;
  handle?: Ref<VirtualListHandle>;
}

/** Below this all items are in the document, for find, copy and screen readers. */
const VIRTUAL_FROM = 200;

export function VirtualList<Item>({ label, items, itemKey, render, rowHeight, className, handle }: VirtualListProps<Item>) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = items.length > VIRTUAL_FROM;
  const virtualizer = useVirtualizer({
    count: items.length,
    enabled: virtual,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 10,
  });
  useImperativeHandle(handle, () => ({
    scrollTo: (index) => {
      if (virtual) virtualizer.scrollToIndex(index, { align: "auto" });
      else scroller.current?.querySelectorAll("[role=listitem]")[index]?.scrollIntoView({ block: "nearest" });
    },
  }));
  const indexes = virtual ? virtualizer.getVirtualItems().map((one) => one.index) : items.map((_, at) => at);
  return (
    <div ref={scroller} tabIndex={0} role="list" aria-label={label} className={cn("overflow-auto", className)}>
      <div role="presentation" className="relative" style={virtual ? { height: virtualizer.getTotalSize() } : undefined}>
        {indexes.map((at) => {
          const item = items[at] as Item;
          return (
            <div
              key={itemKey(item, at)}
              role="listitem"
              aria-setsize={items.length}
              aria-posinset={at + 1}
              className={cn(virtual && "absolute inset-x-0 top-0")}
              style={{ height: rowHeight, ...(virtual ? { transform: `translateY(${String(at * rowHeight)}px)` } : {}) }}
            >
              {render(item, at)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
