/**
 * Reading blobs for no other reason than to know that they can be read.
 * Invariant: a blob counts as whole only when its bytes hash to its name; nothing of it is kept in memory.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';

/** @internal The first of these blobs that is not there or not what its name says; `undefined` when all are whole. */
export async function findDamagedBlob(
  view: GitView,
  objectFormat: Repository['objectFormat'],
  oids: readonly string[],
): Promise<string | undefined> {
  if (oids.length === 0) return undefined;
  const check = createBatchCheck(objectFormat);
  // On some kinds of damage git gives up; whatever it did not come to is not proven either.
  await view.run({
    args: ['cat-file', '--batch'],
    input: oids.map((oid) => `${oid}\n`).join(''),
    onStdout: (chunk) => check.add(chunk),
    okExitCodes: [0, 1, 128],
  });
  return oids.find((oid) => !check.whole.has(oid));
}

interface BatchCheck {
  /** Takes the next bytes of the answer, cut anywhere. */
  add(chunk: Buffer): void;
  /** Names whose bytes were those they name. */
  readonly whole: ReadonlySet<string>;
}

/** `<oid> <type> <size>`, the bytes and a line feed for each; `<oid> missing` for one that is not there. */
function createBatchCheck(objectFormat: Repository['objectFormat']): BatchCheck {
  const whole = new Set<string>();
  let header = '';
  let object: { readonly oid: string; readonly hash: Hash; left: number } | undefined;

  const readHeader = (chunk: Buffer, at: number): number => {
    const end = chunk.indexOf(LINE_FEED, at);
    header += chunk.toString('latin1', at, end < 0 ? chunk.length : end);
    if (end < 0) return chunk.length;
    const [, oid, type = '', size = ''] = /^([0-9a-f]+) ([a-z]+) (\d+)$/.exec(header) ?? [];
    header = '';
    if (oid !== undefined) {
      object = { oid, hash: createHash(objectFormat).update(`${type} ${size}\0`), left: Number(size) };
    }
    return end + 1;
  };
  return {
    whole,
    add(chunk) {
      for (let at = 0; at < chunk.length;) {
        if (object === undefined) at = readHeader(chunk, at);
        else if (object.left > 0) {
          const bytes = chunk.subarray(at, at + object.left);
          object.hash.update(bytes);
          object.left -= bytes.length;
          at += bytes.length;
        } else {
          if (object.hash.digest('hex') === object.oid) whole.add(object.oid);
          object = undefined;
          at++;
        }
      }
    },
  };
}

const LINE_FEED = 10;
