import { Braces, Hash } from "lucide-react";
import { memo, useState } from "react";
import type { StoredDocument } from "@/api/types";
import { documentTitle, widgetsOf } from "@/blocks/documents/shown";
import { words } from "@/model/definition";
import { diff } from "@/model/diff";
import type { DocumentVersions } from "@/model/fold";
import { IconButton } from "@/ui/Button";
import { Badge } from "@/ui/Badge";
import { cn } from "@/ui/cn";
import { JsonTree } from "@/ui/JsonTree";
import { Pane } from "@/ui/Pane";
import { RelativeTime } from "@/ui/Time";
import { Changes } from "../state/Changes";
import { ChildCard } from "./ChildCard";
import { Content } from "./renderers";
import { authorOf, tagsOf } from "./shape";
import { Widgets } from "./Widgets";

export interface ItemProps {
  item: DocumentVersions;
  /** Its position, and the number of all. */
  size: number;
  position: number;
  selected: boolean;
  onSelect: (version: number) => void;
}

/** One document: who saved it and when, its versions, and its content. */
export const Item = memo(function Item({ item, size, position, selected, onSelect }: ItemProps) {
  const { current, older } = item;
  const [raw, setRaw] = useState(false);
  const count = older.length + 1;
  const widgets = widgetsOf(current);
  const author = authorOf(current);
  return (
    <article aria-label={documentTitle(current)} aria-setsize={size} aria-posinset={position} className={cn("min-w-0 rounded-md border-l-2 py-2 pr-1 pl-3", selected ? "border-accent bg-subtle" : "border-transparent")}>
      <header className="mb-1 flex min-h-6 flex-wrap items-center gap-x-2 text-xs text-muted">
        <span className="font-medium text-ink">{documentTitle(current)}</span>
        {author && <span>from {author}</span>}
        {current.transition && <span>{words(current.transition)}</span>}
        <RelativeTime at={current.created_at} />
        {current.key !== null && (
          <span title="A document saved under this key replaces this one">
            key <code>{current.key}</code>
          </span>
        )}
        {tagsOf(current).map((tag) => (
          <Badge key={tag}>
            <span className="sr-only">Tag: </span>#{tag}
          </Badge>
        ))}
        <span className="ml-auto inline-flex items-center">
          <IconButton size="sm" label={`Select checkpoint ${String(current.version)}`} aria-pressed={selected} onClick={() => { onSelect(current.version); }}>
            <Hash size={14} aria-hidden />
          </IconButton>
          <IconButton size="sm" label={raw ? "Show it formatted" : "Show it raw"} aria-pressed={raw} onClick={() => { setRaw(!raw); }}>
            <Braces size={14} aria-hidden />
          </IconButton>
        </span>
      </header>
      <Pane name={`The document ${documentTitle(current)}`} resetKey={current.id}>
        {raw ? <JsonTree value={{ ...current }} label={documentTitle(current)} depth={2} /> : <Content document={current} child={ChildCard} />}
        {current.errors.length > 0 && <Misfits document={current} />}
        {widgets.length > 0 && <Widgets widgets={widgets} />}
      </Pane>
      {count > 1 && <Versions item={item} />}
    </article>
  );
});

/** The errors of a document that was saved although it doesn't match its type (validate="safe"). */
function Misfits({ document }: { document: StoredDocument }) {
  return (
    <ul aria-label="Values that don't fit its type" className="mt-1 list-disc pl-5 text-xs text-backoff">
      {document.errors.map((error, at) => (
        <li key={at} className="wrap-anywhere">
          {Array.isArray(error.loc) && error.loc.length > 0 && <code>{error.loc.join(".")}</code>} {typeof error.msg === "string" ? error.msg : JSON.stringify(error)}
        </li>
      ))}
    </ul>
  );
}

function Versions({ item: { current, older } }: { item: DocumentVersions }) {
  const [open, setOpen] = useState(false);
  const all = [...older, current];
  return (
    <details className="mt-1 text-xs" onToggle={(event) => { setOpen(event.currentTarget.open); }}>
      <summary className="min-h-6 text-muted">
        Version {all.length} of {all.length}
      </summary>
      {open && (
        <ol className="flex flex-col gap-2 pt-1">
          {all.map((one, at) => {
            const before = all[at - 1];
            return (
              <li key={one.id}>
                <span className="text-muted">
                  {at + 1}: <RelativeTime at={one.created_at} />
                </span>
                {before ? <Changes changes={diff(before.content, one.content)} /> : <JsonTree value={one.content} label={`Version ${String(at + 1)}`} depth={1} />}
              </li>
            );
          })}
        </ol>
      )}
    </details>
  );
}
