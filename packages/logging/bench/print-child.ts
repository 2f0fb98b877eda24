/** A child that prints: `node print-child.ts BYTES WITH_SECRETS`. 64 KiB a write, lines of 100 bytes. */
import { writeSync } from 'node:fs';

import { createOutput } from './output.ts';

const [bytes = '0', kind = ''] = process.argv.slice(2);
const block = createOutput(kind === 'secrets');
let left = Number(bytes);
while (left > 0) {
  const part = left >= block.byteLength ? block : block.subarray(0, left);
  let written = 0;
  while (written < part.byteLength) {
    try {
      written += writeSync(1, part, written);
    } catch (error) {
      // A pipe that is full says so instead of waiting.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
  left -= part.byteLength;
}
