import { useQuery } from "@tanstack/react-query";
import { keys } from "@/api/keys";
import { documentsQuery } from "@/api/queries";
import type { StoredDocument } from "@/api/types";
import { words } from "@/model/definition";
import { JsonTree } from "@/ui/JsonTree";
import { Markdown } from "@/ui/Markdown";
import { Pane } from "@/ui/Pane";
import { QueryView } from "@/ui/QueryView";

const NEWEST = 8;

/** The newest documents of the run, the latest first: what its author gave people to decide by. */
export function Concerns({ id, version }: { id: string; version: number }) {
  const options = documentsQuery(id, { newest: true, limit: NEWEST });
  const documents = useQuery({ ...options, queryKey: [...keys.run(id), "concerns", version], placeholderData: (before) => before });
  return (
    <QueryView query={documents} errorTitle="The documents couldn't be loaded">
      {(found) =>
        found.length === 0 ? (
          <p className="text-muted">The run has no documents.</p>
        ) : (
          <ul className="flex flex-col gap-3">
            {found.toReversed().map((document) => (
              <li key={document.id} className="min-w-0 rounded-md border p-3">
                <Pane resetKey={document.id} name="This document">
                  <Content document={document} />
                </Pane>
              </li>
            ))}
          </ul>
        )
      }
    </QueryView>
  );
}

function Content({ document }: { document: StoredDocument }) {
  const { text } = document.content;
  if ((document.name === "message" || document.name === "markdown") && typeof text === "string") return <Markdown text={text} />;
  if (document.name === "plain" && typeof text === "string") return <p className="whitespace-pre-wrap">{text}</p>;
  return (
    <>
      <h3>{words(document.name)}</h3>
      <JsonTree value={document.content} label={words(document.name)} />
    </>
  );
}
