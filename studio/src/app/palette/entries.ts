import type { Run, WorkflowSummary } from "@/api/types";
import { STATUSES } from "@/model/status";
import type { PageLink } from "../pages";

/** One line of the palette. */
export interface Entry {
  id: string;
  group: "Pages" | "Workflows" | "Runs";
  name: string;
  hint: string;
  /** Where it leads. */
  go:
    | { to: PageLink["to"]; search?: { q: string } }
    | { to: "/workflows/$app/$name" | "/workflows/$app/$name/start"; params: { app: string; name: string } }
    | { to: "/runs/$workflowId"; params: { workflowId: string } };
}

interface Known {
  pages: readonly PageLink[];
  workflows: readonly WorkflowSummary[];
  runs: readonly Run[];
  /** May they start workflows? */
  starts: boolean;
}

/** The entries that match `text`, the nearest first in each group. */
export function entriesFor(text: string, { pages, workflows, runs, starts }: Known): Entry[] {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (...where: string[]) => words.every((word) => where.some((one) => one.toLowerCase().includes(word)));
  const found = runEntries(text.trim(), runs);
  const others = [
    ...workflows
      .filter((one) => fits(one.title, one.name, one.app_name, "start"))
      .flatMap((one) => workflowEntries(one, starts, words))
      .slice(0, 10),
    ...pages.filter((page) => fits(page.name)).map((page): Entry => ({ id: page.to, group: "Pages", name: page.name, hint: "", go: { to: page.to } })),
  ];
  // Runs arrive later than the rest: they mustn't displace an entry that is about to be chosen, unless nothing else matches.
  return looksLikeId(text.trim()) ? [...found, ...others] : [...others, ...found];
}

function workflowEntries({ app_name, name, title }: WorkflowSummary, starts: boolean, words: readonly string[]): Entry[] {
  const params = { app: app_name, name };
  const page: Entry = { id: `w ${app_name} ${name}`, group: "Workflows", name: title, hint: app_name, go: { to: "/workflows/$app/$name", params } };
  const start: Entry = { id: `s ${app_name} ${name}`, group: "Workflows", name: `Start ${title}`, hint: app_name, go: { to: "/workflows/$app/$name/start", params } };
  if (!starts) return [page];
  return words.includes("start") ? [start, page] : [page, start];
}

function runEntries(text: string, runs: readonly Run[]): Entry[] {
  if (!text) return [];
  const found = runs.map(
    (run): Entry => ({
      id: run.workflow_id,
      group: "Runs",
      name: `${run.subject ?? run.workflow_name} ${run.workflow_id}`,
      hint: `${run.subject === null ? "" : `${run.workflow_name}, `}${STATUSES[run.status].word} at ${run.place}`,
      go: { to: "/runs/$workflowId", params: { workflowId: run.workflow_id } },
    }),
  );
  const direct = looksLikeId(text) && !runs.some((run) => run.workflow_id === text);
  const open: Entry = { id: `id ${text}`, group: "Runs", name: `Open run ${text}`, hint: "", go: { to: "/runs/$workflowId", params: { workflowId: text } } };
  const all: Entry = { id: `q ${text}`, group: "Runs", name: `Search all runs for “${text}”`, hint: "", go: { to: "/runs", search: { q: text } } };
  return [...(direct ? [open] : []), ...found, all];
}

/** One long word with a digit: it can only be an id. */
function looksLikeId(text: string): boolean {
  return /^[\w-]{16,}$/.test(text) && /\d/.test(text);
}
