import type { Extension } from "@codemirror/state";

/** Each loads by itself, when the first editor of it is opened. */
const LANGUAGES: Record<string, () => Promise<Extension>> = {
  json: async () => (await import("@codemirror/lang-json")).json(),
  python: async () => (await import("@codemirror/lang-python")).python(),
  javascript: async () => (await import("@codemirror/lang-javascript")).javascript({ jsx: true }),
  typescript: async () => (await import("@codemirror/lang-javascript")).javascript({ typescript: true, jsx: true }),
  sql: async () => (await import("@codemirror/lang-sql")).sql(),
  yaml: async () => (await import("@codemirror/lang-yaml")).yaml(),
  markdown: async () => (await import("@codemirror/lang-markdown")).markdown(),
};

const ALIASES: Record<string, string> = { py: "python", python3: "python", js: "javascript", jsx: "javascript", mjs: "javascript", ts: "typescript", tsx: "typescript", yml: "yaml", md: "markdown" };

/** The name of a language in Studio; undefined for one that is shown as plain text. */
export function languageOf(name: string | undefined): string | undefined {
  const lower = name?.toLowerCase() ?? "";
  const known = ALIASES[lower] ?? lower;
  return Object.hasOwn(LANGUAGES, known) ? known : undefined;
}

/** The extensions that colour and indent the language; none if it isn't known, or can't be loaded now. */
export async function grammarOf(name: string | undefined): Promise<Extension> {
  const known = languageOf(name);
  try {
    return (known === undefined ? undefined : await LANGUAGES[known]?.()) ?? [];
  } catch {
    return []; // without the network the text can still be edited, without colours
  }
}
