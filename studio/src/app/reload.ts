const KEY = "stepwell.reloaded";
/** A chunk that is missing again this soon isn't there at all: the error is shown instead. */
const AGAIN_AFTER = 30_000;

/** Loads the page anew, unless that was just done. */
export function reloadOnce(event: Event): void {
  try {
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    if (Date.now() - last < AGAIN_AFTER) return;
    sessionStorage.setItem(KEY, String(Date.now()));
  } catch {
    return; // without storage it could reload for ever
  }
  event.preventDefault();
  window.location.reload();
}
