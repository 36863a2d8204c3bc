import type { Drawing } from "@/model/drawing";

/** The graph in words, in the order in which its places are reached. */
export function Outline({ drawing }: { drawing: Drawing }) {
  return (
    <ol className="flex flex-col gap-1 pl-2">
      {drawing.outline.map(({ node, ways }) => (
        <li key={node.id}>
          <span className="font-medium">{node.spoken}</span>
          {ways.length > 0 && (
            <ul className="list-disc pl-6 text-muted">
              {ways.map(({ edge, target }) => (
                <li key={edge.id}>
                  {edge.label} → {target}
                  {edge.human && " (a person)"}
                  {edge.taken !== null && edge.taken > 0 && `, taken ${edge.taken === 1 ? "once" : `${String(edge.taken)} times`}`}
                  {edge.failures > 0 && `, failed ${String(edge.failures)} times`}
                </li>
              ))}
            </ul>
          )}
        </li>
      ))}
    </ol>
  );
}
