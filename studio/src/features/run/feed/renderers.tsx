import { CircleX, User } from "lucide-react";
import { type ComponentType, memo } from "react";
import type { StoredDocument } from "@/api/types";
import { Fields } from "@/blocks/documents/Fields";
import { layoutOf, documentTitle } from "@/blocks/documents/shown";
import { words } from "@/model/definition";
import { cn } from "@/ui/cn";
import { CodeBlock } from "@/ui/CodeBlock";
import { Clamped, PlainText } from "@/ui/Clamped";
import { JsonTree } from "@/ui/JsonTree";
import { Markdown } from "@/ui/Markdown";
import { type Shape, cellText, shapeOf } from "./shape";

interface ContentProps {
  document: StoredDocument;
  /** Shows a child run. It is passed in, since it shows documents itself. */
  child: ComponentType<{ workflowId: string; label: string; inline: boolean }>;
  nested?: boolean;
}

/** The content of a document, by its type; a type that Studio doesn't know is shown as a tree. */
export const Content = memo(function Content({ document, child: Child, nested = false }: ContentProps) {
  const layout = layoutOf(document);
  if (layout) return <Fields layout={layout} />;
  const shape = shapeOf(document);
  switch (shape.kind) {
    case "message":
      return <MessageText role={shape.role} text={shape.text} said={!nested} />;
    case "markdown":
      return <Clamped text={shape.text} label="text">{(text) => <Markdown text={text} />}</Clamped>;
    case "plain":
      return <PlainText text={shape.text} />;
    case "code":
      return <CodeBlock code={shape.code} label={documentTitle(document)} language={shape.language} />;
    case "table":
      return <Rows shape={shape} label={documentTitle(document)} />;
    case "link":
      return <Child workflowId={shape.workflowId} label={shape.label} inline={shape.inline && !nested} />;
    case "error":
      return <Failure shape={shape} />;
    case "json":
      return <JsonTree value={document.content} label={documentTitle(document)} />;
  }
});

const PEOPLE = new Set(["user", "human", "customer"]);

/** `said`: the sender is shown above it. */
function MessageText({ role, text, said }: { role: string; text: string; said: boolean }) {
  const person = PEOPLE.has(role.toLowerCase());
  return (
    <div className={cn("max-w-prose rounded-md border px-3 py-2", person ? "tint-running" : "bg-subtle")}>
      {!said && <p className="text-xs font-semibold">{role || "message"}</p>}
      {person && <User size={12} aria-hidden className="float-right ml-2" />}
      <Clamped text={text} label="message">{(shown) => <Markdown text={shown} />}</Clamped>
    </div>
  );
}

function Failure({ shape }: { shape: Extract<Shape, { kind: "error" }> }) {
  const where = [shape.transition && words(shape.transition), shape.attempt !== null && `attempt ${String(shape.attempt)}`].filter(Boolean).join(", ");
  return (
    <div className="rounded-md border border-failed/50 px-3 py-2">
      <p className="flex flex-wrap items-center gap-x-2 font-semibold text-failed">
        <CircleX size={14} aria-hidden /> {shape.type}
        {where && <span className="font-normal">{where}</span>}
      </p>
      <PlainText text={shape.message} label="message" className="" />
    </div>
  );
}

/** Rows that are shown: the rest of a long table is in its raw view. */
const MOST_ROWS = 200;

function Rows({ shape, label }: { shape: Extract<Shape, { kind: "table" }>; label: string }) {
  const { columns, rows } = shape;
  return (
    <div role="group" aria-label={label} tabIndex={0} className="max-h-96 max-w-full overflow-auto rounded-md border">
      <table className="border-collapse text-left">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col" className="border-b bg-subtle px-2 py-1 text-xs font-medium whitespace-nowrap text-muted">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MOST_ROWS).map((row, at) => (
            <tr key={at} className="border-b last:border-b-0">
              {columns.map((column) => (
                <td key={column} className={cn("px-2 py-1 align-top", typeof row[column] === "number" && "text-right tabular-nums")}>
                  {cellText(row[column])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > MOST_ROWS && <p className="px-2 py-1 text-muted">{rows.length - MOST_ROWS} more rows are in the raw view.</p>}
    </div>
  );
}
