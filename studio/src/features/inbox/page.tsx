import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { waitingQuery } from "@/api/queries";
import type { Waiting } from "@/api/types";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { Pane } from "@/ui/Pane";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import { cn } from "@/ui/cn";
import { useShortcuts } from "@/ui/shortcuts";
import { Decision } from "./Decision";
import { Questions } from "./Questions";
import { neighbour, nextAfter } from "./order";

const route = getRouteApi("/waiting");

export default function Page() {
  const { run: chosen, app_name: app } = route.useSearch();
  const navigate = route.useNavigate();
  const waiting = useInfiniteQuery(waitingQuery(app));
  const all = waiting.data?.pages.flatMap((page) => page.items) ?? [];
  const { items, settle } = useUnsettled(all);
  const [open, pin] = useOpen(chosen, items);
  const go = (run: string | undefined, replace = false) => void navigate({ to: "/waiting", search: { app_name: app, run }, replace });
  const goOn = () => {
    const next = open === undefined ? undefined : nextAfter(items, open);
    if (open !== undefined) settle(open);
    pin(next);
    go(next, true);
  };
  useShortcuts([
    { key: "j", label: "Next question", run: () => { go(neighbour(items, open, 1)); } },
    { key: "k", label: "Previous question", run: () => { go(neighbour(items, open, -1)); } },
    { key: "u", label: "Back to the list", run: () => { go(undefined); } },
  ]);
  return (
    <>
      <PageHeader title="Waiting for you" description="Questions that runs ask people now. A question disappears when it is settled, wherever that happens." />
      <QueryView query={waiting} errorTitle="The questions couldn't be loaded">
        {() =>
          items.length === 0 && open === undefined ? (
            <NothingWaits />
          ) : (
            <div className="grid gap-6 lg:grid-cols-[minmax(16rem,22rem)_minmax(0,1fr)]">
              <div className={cn(chosen !== undefined && "max-lg:hidden")}>
                <Questions items={items} open={open} onOpen={go} />
                {waiting.hasNextPage && (
                  <Button className="mt-2" pending={waiting.isFetchingNextPage} onClick={() => void waiting.fetchNextPage()}>
                    Older questions
                  </Button>
                )}
              </div>
              {open !== undefined && (
                <section aria-label="Decision" className={cn("min-w-0", chosen === undefined && "max-lg:hidden")}>
                  <Button size="sm" className="mb-3 lg:hidden" onClick={() => { go(undefined); }}>
                    Back to the list
                  </Button>
                  <Pane resetKey={open} name="The question">
                    <Decision key={open} id={open} waits={items.some((one) => one.run.workflow_id === open)} onNext={goOn} />
                  </Pane>
                </section>
              )}
            </div>
          )
        }
      </QueryView>
    </>
  );
}

/** The questions without those that were answered here: the list itself is updated a moment later. */
function useUnsettled(all: readonly Waiting[]) {
  const [settled, setSettled] = useState<ReadonlySet<string>>(new Set());
  // With its version: if the run asks again, that is another question.
  const keyOf = (one: Waiting) => `${one.run.workflow_id}:${String(one.run.version)}`;
  const settle = (id: string) => { setSettled(new Set([...settled, ...all.filter((one) => one.run.workflow_id === id).map(keyOf)])); };
  return { items: all.filter((one) => !settled.has(keyOf(one))), settle };
}

/** The open question: the chosen one, else the first. It stays open if others are added above it, or if it leaves the list. */
function useOpen(chosen: string | undefined, items: readonly Waiting[]) {
  const [pinned, pin] = useState<string | undefined>();
  const wanted = chosen ?? pinned ?? items[0]?.run.workflow_id;
  if (chosen === undefined && wanted !== pinned) pin(wanted);
  return [wanted, pin] as const;
}

function NothingWaits() {
  return (
    <EmptyState title="No question waits for you">
      A run asks here when it reaches a transition with <code>wait=True</code>. Its payload becomes a form.
    </EmptyState>
  );
}
