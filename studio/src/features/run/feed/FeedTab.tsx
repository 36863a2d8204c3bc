import { FileText } from "lucide-react";
import { useCallback, useMemo, useState } from "react";
import { feedOf } from "@/model/fold";
import { isFinished } from "@/model/status";
import { Button } from "@/ui/Button";
import { EmptyState } from "@/ui/States";
import { useRunPage } from "../data";
import { Dock } from "./Dock";
import { Item } from "./Item";
import { Scroller } from "./Scroller";

/** The documents of the run, live, with its questions below. */
export function FeedTab() {
  const { documents, run, asks, selected, select, known, store } = useRunPage();
  const [large, setLarge] = useState(false);
  const items = useMemo(() => feedOf(documents), [documents]);
  const at = selected?.version;
  const onSelect = useCallback((version: number) => { select(version); }, [select]);
  return (
    <div className="flex min-w-0 flex-col gap-3">
      <h2 className="sr-only">Documents</h2>
      {items.length === 0 && asks.length > 0 ? null : items.length === 0 ? (
        <EmptyState title="No documents" icon={<FileText size={28} strokeWidth={1.5} aria-hidden />}>
          {isFinished(run.status) ? "This run saved none." : "None yet: they appear here as soon as the run saves them."}
        </EmptyState>
      ) : (
        <Scroller
          label="Documents of the run"
          items={items}
          itemKey={keyOf}
          className={large ? "max-h-[max(14rem,40dvh)]" : "max-h-[max(20rem,calc(100dvh-20rem))]"}
          head={
            !known.allDocuments && (
              <p className="py-2 text-center">
                <Button size="sm" pending={known.loadingOlder} onClick={() => void store.olderDocuments()}>
                  Load older documents
                </Button>
              </p>
            )
          }
          follows={known.pastDocuments === null}
          tail={
            known.pastDocuments !== null && (
              <p className="flex flex-wrap justify-center gap-2 py-2">
                <Button size="sm" pending={known.loadingOlder} onClick={() => void store.newerDocuments()}>
                  Load newer documents
                </Button>
                <Button size="sm" variant="ghost" onClick={() => { store.newest(); }}>
                  Go to the newest
                </Button>
              </p>
            )
          }
          render={(item, place) => <Item item={item} size={place["aria-setsize"]} position={place["aria-posinset"]} selected={item.current.version === at} onSelect={onSelect} />}
        />
      )}
      <Dock onLarge={setLarge} />
    </div>
  );
}

function keyOf({ current, older }: ReturnType<typeof feedOf>[number]): string {
  return older[0]?.id ?? current.id;
}
