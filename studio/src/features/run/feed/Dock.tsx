import { ArrowDown } from "lucide-react";
import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";
import { AnswerPanel } from "@/blocks/answer/AnswerPanel";
import { waitOf } from "@/model/answer";
import { Button } from "@/ui/Button";
import { cn } from "@/ui/cn";
import { toast } from "@/ui/Toast";
import { useRunPage } from "../data";

/** Questions up to this height stay at the bottom of the window: a line of text, some buttons. */
const SMALL = 160;

/** The questions: small ones stay in view, a form is the last item of the page, with a link to it from above. */
export function Dock({ onLarge }: { onLarge: (large: boolean) => void }) {
  const { run, view, asks, definition, me, store } = useRunPage();
  const box = useRef<HTMLDivElement>(null);
  const height = useHeight(box);
  const inView = useInView(box);
  const large = height > SMALL;
  useLayoutEffect(() => { onLarge(large); }, [large, onLarge]);
  const written = useAnsweredElsewhere(box, waitOf(run, view.rows).entered);
  const sent = () => {
    toast({ title: "Sent", tone: "done" });
    void store.look();
  };
  return (
    <>
      <div ref={box} data-dock onInput={written} className={cn("scroll-mt-48 border-t bg-surface py-3 empty:hidden", !large && "sticky bottom-0 z-10")}>
        <AnswerPanel run={run} rows={view.rows} asks={asks} widgets={definition?.ui ?? []} me={me} onSent={sent} />
      </div>
      {large && !inView && (
        <div className="pointer-events-none sticky bottom-2 z-10 flex justify-center">
          <Button variant="primary" className="pointer-events-auto shadow-overlay" icon={<ArrowDown size={14} aria-hidden />} onClick={() => { goTo(box.current); }}>
            Go to the question
          </Button>
        </div>
      )}
    </>
  );
}

/** Scrolls the question into view, and focuses its first field or button. */
export function goTo(box: Element | null): void {
  box?.scrollIntoView({ block: "start" });
  const field = box?.querySelector<HTMLElement>("input:not([type=hidden]),textarea,select") ?? box?.querySelector<HTMLElement>("button");
  field?.focus({ preventScroll: true });
}

/** If another user answers meanwhile, the reason why the form is locked is shown at its top. */
function useAnsweredElsewhere(box: RefObject<HTMLElement | null>, entered: number): () => void {
  const writing = useRef(false);
  useEffect(() => () => {
    if (writing.current) box.current?.scrollIntoView({ block: "start" });
    writing.current = false;
  }, [box, entered]);
  return () => { writing.current = true; };
}

function useHeight(box: RefObject<HTMLElement | null>): number {
  const [height, setHeight] = useState(0);
  useLayoutEffect(() => {
    const { current } = box;
    if (!current) return;
    const observer = new ResizeObserver(() => { setHeight(current.offsetHeight); });
    observer.observe(current);
    return () => { observer.disconnect(); };
  }, [box]);
  return height;
}

/** True while some of it is visible. */
function useInView(box: RefObject<HTMLElement | null>): boolean {
  const [is, setIs] = useState(true);
  useEffect(() => {
    const { current } = box;
    if (!current) return;
    const observer = new IntersectionObserver(([entry]) => { setIs(entry?.isIntersecting ?? true); }, { rootMargin: "0px 0px -80px 0px" });
    observer.observe(current);
    return () => { observer.disconnect(); };
  }, [box]);
  return is;
}
