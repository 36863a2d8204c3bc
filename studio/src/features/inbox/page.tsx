import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { meQuery } from "@/api/queries";
import { useInbox } from "@/blocks/inbox";
import type { Item } from "@/model/inbox";
import { Button } from "@/ui/Button";
import { PageHeader } from "@/ui/Page";
import { Pane } from "@/ui/Pane";
import { QueryView } from "@/ui/QueryView";
import { EmptyState } from "@/ui/States";
import { cn } from "@/ui/cn";
import { useShortcuts } from "@/ui/shortcuts";
import { Decision } from "./Decision";
import { Filters } from "./Filters";
import { Gone } from "./Gone";
import { Questions } from "./Questions";
import { neighbour, nextAfter } from "./order";

const route = getRouteApi("/waiting");

export default function Page() {
  const { run: chosen, ...filter } = route.useSearch();
  const navigate = route.useNavigate();
  const me = useQuery(meQuery()).data;
  const { query, items: all } = useInbox(filter);
  const { items, settle } = useUnsettled(all);
  const [open, pin] = useOpen(chosen, items, JSON.stringify(filter));
  const held = useHeld(items, open);
  const go = (run: string | undefined, replace = false) => void navigate({ to: "/waiting", search: { ...filter, run }, replace });
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
  const refilter = (next: typeof filter) => void navigate({ to: "/waiting", search: next });
  const asked = items.some((one) => one.workflowId === open);
  const filtered = Object.values(filter).some(Boolean);
  return (
    <>
      <PageHeader title="Waiting for you" description="Questions that runs ask people now, the most urgent first. A question disappears when it is settled, wherever that happens." />
      <Filters filter={filter} me={me} onChange={refilter} />
      <QueryView query={query} errorTitle="The questions couldn't be loaded">
        {() =>
          items.length === 0 && open === undefined ? (
            <NothingWaits onClear={filtered ? () => { refilter({}); } : null} />
          ) : (
            <div className="grid gap-6 lg:grid-cols-[minmax(16rem,22rem)_minmax(0,1fr)]">
              <div className={cn(chosen !== undefined && "max-lg:hidden")}>
                {me && <Questions items={items} me={me} open={open} onOpen={go} />}
                {query.hasNextPage && (
                  <Button className="mt-2" pending={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                    Less urgent questions
                  </Button>
                )}
              </div>
              {open !== undefined && me && (
                <section aria-label="Decision" className={cn("min-w-0", chosen === undefined && "max-lg:hidden")}>
                  <Button size="sm" className="mb-3 lg:hidden" onClick={() => { go(undefined); }}>
                    Back to the list
                  </Button>
                  <Pane resetKey={open} name="The question">
                    {held ? <Decision key={`${open}:${String(held.visit)}`} item={held} me={me} asked={asked} onNext={goOn} /> : <Gone id={open} onNext={goOn} />}
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
function useUnsettled(all: readonly Item[]) {
  const [settled, setSettled] = useState<ReadonlySet<string>>(new Set());
  // With its visit: if the run asks again, that is another question.
  const keyOf = (one: Item) => `${one.workflowId}:${String(one.visit)}`;
  const settle = (id: string) => { setSettled(new Set([...settled, ...all.filter((one) => one.workflowId === id).map(keyOf)])); };
  return { items: all.filter((one) => !settled.has(keyOf(one))), settle };
}

/**
 * The open question: the chosen one, else the first. It stays open if others are added above it, or if it leaves the list, until
 * the filter changes: then it may not match.
 */
function useOpen(chosen: string | undefined, items: readonly Item[], filter: string) {
  const [pinned, setPinned] = useState<{ run: string | undefined; filter: string }>({ run: undefined, filter });
  const kept = pinned.filter === filter ? pinned.run : undefined;
  const wanted = chosen ?? kept ?? items[0]?.workflowId;
  const pin = (run: string | undefined) => { setPinned({ run, filter }); };
  if (chosen === undefined && wanted !== kept) pin(wanted);
  return [wanted, pin] as const;
}

/** The open question as it was last listed: while it is open it stays, with what was typed into it. */
function useHeld(items: readonly Item[], open: string | undefined): Item | undefined {
  const [held, hold] = useState<Item | undefined>();
  const listed = items.find((one) => one.workflowId === open);
  if (listed !== undefined && listed !== held) hold(listed);
  return listed ?? (held?.workflowId === open ? held : undefined);
}

function NothingWaits({ onClear }: { onClear: (() => void) | null }) {
  if (onClear) {
    return (
      <EmptyState title="No question matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
        None of the questions that you may see fits these filters.
      </EmptyState>
    );
  }
  return (
    <EmptyState title="No question waits for you">
      A run asks here when it reaches a transition with <code>wait=True</code>. Its payload becomes a form.
    </EmptyState>
  );
}
