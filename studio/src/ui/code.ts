/** Studio's code is loaded in parts, when they are needed. This handles parts that can't be loaded. */

/** A part of the code couldn't be loaded. The browser remembers that: it asks again only after the page is reloaded. */
export class CodeMissing extends Error {
  readonly problem = {
    title: "This part of Studio couldn't be loaded",
    detail: "The server may be stopped, or the network may be down.",
    status: 0,
  };

  constructor(cause: unknown) {
    super("The code of a part of Studio wasn't delivered", { cause });
  }
}

/** The result of `load`, for `lazy` and similar functions. Throws CodeMissing. */
export function code<Part>(load: () => Promise<Part>): () => Promise<Part> {
  return () => load().catch((cause: unknown) => { throw new CodeMissing(cause); });
}

/** Reloads Studio if the server answers. Otherwise the browser would replace everything that is open by its own error page. */
export async function reloadIfServed(): Promise<void> {
  if ((await served()) !== null) window.location.reload();
}

/** Reloads Studio if the server has another version than the one that is open, whose parts no longer exist then. */
export async function reloadIfUpgraded(): Promise<void> {
  const entry = document.querySelector('script[type="module"][src]')?.getAttribute("src");
  if (entry && (await served())?.includes(entry) === false) window.location.reload();
}

/** The page that loads Studio, as the server has it now. */
async function served(): Promise<string | null> {
  const answer = await fetch(document.baseURI, { cache: "no-store", headers: { Accept: "text/html" } }).catch(() => null);
  return answer?.ok ? answer.text() : null;
}
