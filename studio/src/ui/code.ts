/** The code of Studio comes in parts, when they are needed. This is about those that don't come. */

/** The code of a part didn't come. The browser keeps that in mind: only when all is loaded anew is it asked for again. */
export class CodeMissing extends Error {
  readonly problem = {
    title: "This part of Studio couldn't be loaded",
    detail: "The server may be stopped, or the network away.",
    status: 0,
  };

  constructor(cause: unknown) {
    super("The code of a part of Studio didn't come", { cause });
  }
}

/** What `load` gives, for `lazy` and its like. Raises CodeMissing. */
export function code<Part>(load: () => Promise<Part>): () => Promise<Part> {
  return () => load().catch((cause: unknown) => { throw new CodeMissing(cause); });
}

/** Loads Studio anew if the server answers. Else the browser would put an error of its own in the place of all that is open. */
export async function reloadIfServed(): Promise<void> {
  if ((await served()) !== null) window.location.reload();
}

/** Loads Studio anew if the server has another version than the one that is open, whose parts are gone then. */
export async function reloadIfUpgraded(): Promise<void> {
  const entry = document.querySelector('script[type="module"][src]')?.getAttribute("src");
  if (entry && (await served())?.includes(entry) === false) window.location.reload();
}

/** The page that loads Studio, as the server has it now. */
async function served(): Promise<string | null> {
  const answer = await fetch(document.baseURI, { cache: "no-store", headers: { Accept: "text/html" } }).catch(() => null);
  return answer?.ok ? answer.text() : null;
}
