import { useQuery } from "@tanstack/react-query";
import { keys } from "@/api/keys";
import { documentsQuery } from "@/api/queries";
import type { StoredDocument } from "@/api/types";
import { documentTitle } from "@/blocks/documents/shown";
import { JsonTree } from "@/ui/JsonTree";
import { Markdown } from "@/ui/Markdown";
import { Pane } from "@/ui/Pane";
import { QueryView } from "@/ui/QueryView";

const NEWEST = 8;

/** The newest documents of the run, the latest first, as a basis for the decision. */
export function Concerns({ id, version }: { id: string; version: number }) {
  const options = documentsQuery(id, { newest: true, limit: NEWEST });
  const documents = useQuery({ ...options, queryKey: [...keys.run(id), "concerns", version], placeholderData: (before) => before });
  return (
    <QueryView query={documents} errorTitle="The documents couldn't be loaded">
      {(found) => (found.length === 0 ? <p className="text-muted">The run has no documents.</p> : <Documents documents={found.toReversed()} />)}
    </QueryView>
  );
}

export function Documents({ documents }: { documents: readonly StoredDocument[] }) {
  return (
    <ul className="flex flex-col gap-3">
      {documents.map((document) => (
        <li key={document.id} className="min-w-0 rounded-md border p-3">
          <Pane resetKey={document.id} name="This document">
            <Content document={document} />
          </Pane>
        </li>
      ))}
    </ul>
  );
}

function Content({ document }: { document: StoredDocument }) {
  const body = textOf(document);
  return (
    <>
      {(body === null || document.title) && <h3>{documentTitle(document)}</h3>}
      {body ?? <JsonTree value={document.content} label={documentTitle(document)} />}
    </>
  );
}

/** The text of a document that consists of one; null for others. */
function textOf({ name, content: { text } }: StoredDocument) {
  if (typeof text !== "string") return null;
  if (name === "message" || name === "markdown") return <Markdown text={text} />;
  return name === "plain" ? <p className="whitespace-pre-wrap">{text}</p> : null;
}
