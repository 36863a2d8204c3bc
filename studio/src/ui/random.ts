/** A text that no other has, for keys. `crypto.randomUUID` is for secure contexts only; this works on plain http. */
export function randomText(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
