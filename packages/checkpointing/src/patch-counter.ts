/**
 * Counting what a patch changes while it is read for its hash: git's own count would compare every file a second time.
 * Invariant: only lines inside a hunk count, however much the content looks like a header.
 */
import type { DiffStat } from './record.ts';

/** @internal */
export interface PatchCounter {
  /** Takes the next bytes of the file, cut anywhere. */
  add(chunk: Buffer): void;
  totals(): DiffStat;
}

/** @internal For patches with the trees' names and git's raw list of files before them. */
export function createPatchCounter(): PatchCounter {
  let filesChanged = 0;
  let insertions = 0;
  let deletions = 0;
  let isInHead = true;
  let oldLeft = 0;
  let newLeft = 0;
  /** The start of a line whose end is not there yet. */
  let pending = '';

  const countHunkLine = (first: string): void => {
    // "\ No newline at end of file" is on neither side.
    if (first === '\\') return;
    if (first !== '+') oldLeft--;
    if (first !== '-') newLeft--;
    if (first === '+') insertions++;
    if (first === '-') deletions++;
  };
  const countLine = (start: string): void => {
    if (isInHead) {
      if (start === '') isInHead = false;
      if (start.startsWith(':')) filesChanged++;
    } else if (oldLeft > 0 || newLeft > 0) countHunkLine(start.charAt(0));
    else if (start.startsWith('@@ ')) {
      const [, oldCount = '1', newCount = '1'] = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(start) ?? [];
      oldLeft = Number(oldCount);
      newLeft = Number(newCount);
    }
  };

  return {
    add(chunk) {
      for (let start = 0; start < chunk.length;) {
        const end = chunk.indexOf(LINE_FEED, start);
        const last = end < 0 ? chunk.length : end;
        pending += chunk.toString('latin1', start, Math.min(last, start + MAX_HEADER_BYTES - pending.length));
        if (end < 0) return;
        countLine(pending);
        pending = '';
        start = end + 1;
      }
    },
    totals: () => ({ filesChanged, insertions, deletions }),
  };
}

const LINE_FEED = 10;
/** A hunk header without its function name is shorter than this. */
const MAX_HEADER_BYTES = 100;
