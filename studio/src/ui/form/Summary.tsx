import { TriangleAlert } from "lucide-react";
import { wordsOf } from "./places";
import type { Schema } from "./schema";
import type { Fault } from "./validate";

interface SummaryProps {
  box: React.RefObject<HTMLDivElement | null>;
  id: string;
  faults: readonly Fault[];
  schema: Schema;
  unreadable: string | null;
  onPick: () => void;
}

/** All errors at the top of the form, each with a link to its field. */
export function Summary({ box, id, faults, schema, unreadable, onPick }: SummaryProps) {
  const go = (fault: Fault) => {
    onPick();
    requestAnimationFrame(() => { focusField([id, ...fault.path].join("_")); });
  };
  return (
    <div ref={box} role="alert" tabIndex={-1} className="rounded-md border border-failed px-3 py-2">
      <p className="flex items-center gap-2 font-semibold text-failed">
        <TriangleAlert size={16} aria-hidden />
        {faults.length > 1 ? `Please correct ${String(faults.length)} fields` : "Please correct this"}
      </p>
      <ul className="mt-1 list-disc pl-6">
        {unreadable && <li>JSON: {unreadable}</li>}
        {faults.map((fault, at) => (
          <li key={at}>
            {fault.path.length > 0 ? (
              <button type="button" className="prose-link text-left" onClick={() => { go(fault); }}>
                {wordsOf(fault.path, schema)}
              </button>
            ) : (
              "The whole value"
            )}
            : {fault.message}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** The field, or the nearest thing around it that is on the page. */
function focusField(id: string): void {
  for (let at = id; at.includes("_"); at = at.slice(0, at.lastIndexOf("_"))) {
    const found = document.getElementById(at) ?? document.getElementById(`${at}__kind`);
    if (!found) continue;
    found.closest("details")?.setAttribute("open", "");
    const inner = found.matches("fieldset,[role=radiogroup]") ? found.querySelector<HTMLElement>("input,select,textarea,button") : null;
    (inner ?? found).focus();
    return;
  }
}
