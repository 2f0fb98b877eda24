/** A hash that is the same on every node and after every restart. Invariant: never change it; jitter would move. */

/** @internal FNV-1a over UTF-16 code units with a final mix, as an unsigned 32-bit integer. */
export function stableHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  // Without this the low bits of similar names stay close together.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
