import type { EditorState } from "@codemirror/state";
import { StateEffect, StateField } from "@codemirror/state";
import type { DecorationSet } from "@codemirror/view";
import { Decoration, EditorView } from "@codemirror/view";

export const markFault = StateEffect.define<number | null>();

const CHARACTER = Decoration.mark({ class: "cm-fault" });
const LINE = Decoration.line({ class: "cm-fault-line" });

/** The line and the character at which the text becomes invalid. */
export const faultMark = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (marks, transaction) => {
    const told = transaction.effects.find((effect) => effect.is(markFault));
    return told ? marksAt(transaction.state, told.value as number | null) : marks.map(transaction.changes);
  },
  provide: (field) => EditorView.decorations.from(field),
});

function marksAt(state: EditorState, at: number | null): DecorationSet {
  if (at === null) return Decoration.none;
  const { doc } = state;
  const line = doc.lineAt(Math.min(at, doc.length));
  // There is no character at the end of a line: mark the one before.
  const from = Math.min(at, Math.max(line.from, line.to - 1));
  const marks = [LINE.range(line.from)];
  if (line.length > 0) marks.push(CHARACTER.range(from, from + 1));
  return Decoration.set(marks, true);
}
