import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** It uses the page's colours, so it follows the theme. */
const frame = EditorView.theme({
  "&": { backgroundColor: "var(--surface)", color: "var(--ink)", borderRadius: "3px" },
  // The frame around it shows the focus (CodeEditor.tsx).
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-mono, ui-monospace, monospace)", fontSize: "12px", lineHeight: "1.5", maxHeight: "60vh", overflow: "auto" },
  ".cm-content, .cm-gutter": { minHeight: "calc(var(--rows) * 18px)" },
  ".cm-content": { caretColor: "var(--ink)", padding: "6px 0" },
  ".cm-gutters": { backgroundColor: "var(--subtle)", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "26px" },
  ".cm-placeholder": { color: "var(--muted)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--hover)", outline: "1px solid var(--control)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", outline: "1px solid var(--status-failed)" },
  ".cm-fault": { textDecoration: "underline wavy var(--status-failed)", textDecorationSkipInk: "none", backgroundColor: "color-mix(in srgb, var(--status-failed) 18%, transparent)" },
  ".cm-fault-line": { backgroundColor: "color-mix(in srgb, var(--status-failed) 8%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--status-backoff) 28%, transparent)" },
  ".cm-searchMatch-selected": { outline: "2px solid var(--status-backoff)" },
  ".cm-panels": { backgroundColor: "var(--subtle)", color: "var(--ink)" },
  ".cm-panels-top": { borderBottom: "1px solid var(--line)" },
  ".cm-panel.cm-search": { padding: "6px 28px 6px 8px" },
  ".cm-panel.cm-search label": { display: "inline-flex", alignItems: "center", gap: "4px", fontSize: "12px", minHeight: "24px" },
  ".cm-textfield": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--control)", borderRadius: "3px", minHeight: "24px", fontSize: "12px" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--control)", borderRadius: "3px", minHeight: "24px", fontSize: "12px" },
  ".cm-panel.cm-search [name=close]": { color: "var(--ink)", width: "24px", height: "24px", fontSize: "16px" },
});

const colours = HighlightStyle.define([
  { tag: [tags.string, tags.special(tags.string), tags.regexp, tags.monospace], color: "var(--code-string)" },
  { tag: [tags.number, tags.propertyName, tags.definition(tags.variableName), tags.attributeName], color: "var(--code-number)" },
  { tag: [tags.keyword, tags.bool, tags.null, tags.atom, tags.operatorKeyword, tags.modifier, tags.tagName], color: "var(--code-word)" },
  { tag: [tags.comment, tags.meta, tags.quote], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.heading, fontWeight: "600" },
  { tag: tags.strong, fontWeight: "600" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: [tags.link, tags.url], color: "var(--accent)", textDecoration: "underline" },
]);

export const look = [frame, syntaxHighlighting(colours)];
