import { useMemo, useState } from "react";
import type { WorkflowDetail } from "@/api/types";
import { drawingOf, MOST_PLACES } from "@/model/drawing";
import { Button } from "@/ui/Button";
import StateGraph from "@/ui/graph/StateGraph";

/** The places and transitions of a workflow; loaded when it is looked at. */
export default function GraphTab({ workflow }: { workflow: WorkflowDetail }) {
  const [large, setLarge] = useState(false);
  const drawing = useMemo(() => drawingOf(workflow), [workflow]);
  if (drawing.nodes.length > MOST_PLACES && !large) {
    return (
      <p>
        It has {drawing.nodes.length} places: that is a lot to draw.{" "}
        <Button size="sm" onClick={() => { setLarge(true); }}>
          Draw it anyway
        </Button>
      </p>
    );
  }
  return <StateGraph label={`The graph of ${workflow.title}`} nodes={drawing.nodes} edges={drawing.edges} width={drawing.width} height={drawing.height} />;
}
