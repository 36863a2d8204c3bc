/**
 * Over HTTP/1.1 a browser opens six connections to a host, for all its tabs together. Streams of single runs take no more
 * than these, so that requests still get through; a page without one gets updates by the stream of all runs.
 */
const SLOTS = ["stepwell-run-0", "stepwell-run-1", "stepwell-run-2"] as const;

/** Gives the slot back. */
export type Release = () => void;

/** A slot of this browser, or null if all are taken. Without Web Locks every tab gets one. */
export async function takeSlot(locks: LockManager | undefined = (navigator as Partial<Navigator>).locks): Promise<Release | null> {
  if (!locks) return () => undefined;
  for (const name of SLOTS) {
    const release = await tryLock(locks, name);
    if (release) return release;
  }
  return null;
}

function tryLock(locks: LockManager, name: string): Promise<Release | null> {
  return new Promise((got, failed) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock === null) {
          got(null);
          return undefined;
        }
        return new Promise<void>((release) => { got(() => { release(); }); });
      })
      .catch(failed);
  });
}
