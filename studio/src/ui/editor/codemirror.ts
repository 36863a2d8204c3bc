import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import type { Extension } from "@codemirror/state";
import { Annotation, Compartment, EditorState, Transaction } from "@codemirror/state";
import { EditorView, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { getNonce } from "get-nonce";
import { faultMark, markFault } from "./fault";
import { languageOf, grammarOf } from "./languages";
import { look } from "./look";

/** The properties of an editor; all of them may change. */
export interface Facts {
  text: string;
  language: string | undefined;
  /** The position of an error in the text; null: none. */
  fault: number | null;
  /** The text can be read and copied, but not changed. */
  fixed: boolean;
  placeholder: string;
  /** Attributes of the editable element. */
  attributes: Record<string, string>;
}

export interface Editor {
  show: (facts: Facts) => void;
  /** Takes the focus, with this part selected. */
  take: (from: number, to: number) => void;
  destroy: () => void;
}

const FromOutside = Annotation.define<boolean>();

/** An editor in `parent`; `onChange` is called for what people type, not for text that is set. */
export function editorIn(parent: HTMLElement, facts: Facts, onChange: (text: string) => void, onFocus: (has: boolean) => void): Editor {
  const stated = new Compartment();
  const grammar = new Compartment();
  const view = new EditorView({
    parent,
    doc: facts.text,
    extensions: [
      EditorView.cspNonce.of(getNonce() ?? ""),
      ALWAYS,
      stated.of(statedBy(facts)),
      grammar.of(unitOf(facts.language)),
      EditorView.updateListener.of((update) => {
        if (update.docChanged && !update.transactions.some((one) => one.annotation(FromOutside))) onChange(update.state.doc.toString());
        if (update.focusChanged) onFocus(update.view.hasFocus);
      }),
    ],
  });
  let shown: Facts = { ...facts, language: undefined, fault: null };
  let open = true;
  const setGrammar = async (language: string | undefined) => {
    const loaded = await grammarOf(language);
    if (open && languageOf(shown.language) === languageOf(language)) view.dispatch({ effects: grammar.reconfigure([loaded, unitOf(language)]) });
  };
  const show = (next: Facts) => {
    const before = shown;
    shown = next;
    // The same text as before is ignored: the user may have continued typing.
    const changes = next.text === before.text ? null : changeTo(view.state.doc.toString(), next.text);
    // Undo doesn't revert changes from the form's other view.
    if (changes) view.dispatch({ changes, annotations: [FromOutside.of(true), Transaction.addToHistory.of(false)] });
    if (next.fault !== before.fault || changes) view.dispatch({ effects: markFault.of(next.fault) });
    if (JSON.stringify([before.fixed, before.placeholder, before.attributes]) !== JSON.stringify([next.fixed, next.placeholder, next.attributes])) {
      view.dispatch({ effects: stated.reconfigure(statedBy(next)) });
    }
    if (languageOf(next.language) !== languageOf(before.language)) void setGrammar(next.language);
  };
  show(facts);
  return {
    show,
    take: (from, to) => {
      view.focus();
      view.dispatch({ selection: { anchor: Math.min(from, view.state.doc.length), head: Math.min(to, view.state.doc.length) }, scrollIntoView: true });
    },
    destroy: () => {
      open = false;
      view.destroy();
    },
  };
}

const ALWAYS: Extension = [
  lineNumbers(),
  history(),
  indentOnInput(),
  bracketMatching(),
  closeBrackets(),
  search({ top: true }),
  highlightSelectionMatches(),
  faultMark,
  // Ctrl-Enter submits the surrounding form.
  keymap.of([...closeBracketsKeymap, ...defaultKeymap.filter(({ key }) => key !== "Mod-Enter"), ...searchKeymap, ...historyKeymap, indentWithTab]),
  EditorView.lineWrapping,
  look,
];

function unitOf(language: string | undefined): Extension {
  return indentUnit.of(languageOf(language) === "python" ? "    " : "  ");
}

function statedBy({ fixed, placeholder: hint, attributes }: Facts): Extension {
  return [
    EditorState.readOnly.of(fixed),
    EditorView.editable.of(!fixed),
    EditorView.contentAttributes.of({ ...attributes, ...(fixed ? { tabindex: "0", "aria-readonly": "true" } : {}) }),
    hint ? placeholder(hint) : [],
  ];
}

/** The single replacement that turns `before` into `after`, so that a cursor outside it doesn't move. */
function changeTo(before: string, after: string): { from: number; to: number; insert: string } | null {
  if (before === after) return null;
  let from = 0;
  while (from < before.length && from < after.length && before[from] === after[from]) from += 1;
  let tail = 0;
  while (tail < before.length - from && tail < after.length - from && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  return { from, to: before.length - tail, insert: after.slice(from, after.length - tail) };
}
