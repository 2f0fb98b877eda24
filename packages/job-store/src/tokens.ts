/**
 * Fencing numbers. A connection takes them from the file in blocks, which saves a page of every claim's transaction.
 * Invariant: a number is only used while no other block was taken since, so that numbers grow in the order of the claims
 * over all processes.
 */
import { z } from 'zod';
import type { Prepared } from './statements.ts';

/** @internal Where tokens come from. */
export interface TokenSource {
  /**
   * Takes `count` numbers inside the open write transaction and answers the first. Gaps are fine, repeats are not.
   *
   * @param lastKind - whose turn it is; kept when a block is taken, since that page is written then anyway
   */
  take(count: number, lastKind: string): number;
  /** The kind that was served when the last block was taken, by whomever. */
  lastKind(): string;
}

/** @internal The statements over the counter. */
export interface TokenStatements {
  readonly counter: Prepared;
  readonly raiseCounter: Prepared;
}

/**
 * @internal
 * @param owner - a number that tells this connection from all others: after a rollback the counter may reach our
 *   remembered end again through another process, and then the block is not ours
 */
export function createTokenSource(statements: TokenStatements, owner: number): TokenSource {
  let next = 0;
  let end = 0;
  return {
    take(count, lastKind) {
      const { value, owner: lastOwner } = counterRow.parse(statements.counter.get({}));
      if (value !== end || lastOwner !== owner || end - next < count) {
        const size = Math.max(BLOCK, count);
        statements.raiseCounter.run({ size, owner, lastKind });
        next = value;
        end = value + size;
      }
      next += count;
      return next - count + 1;
    },
    lastKind: () => counterRow.parse(statements.counter.get({})).last_kind,
  };
}

const counterRow = z.strictObject({ value: z.int(), owner: z.int(), last_kind: z.string() });
const BLOCK = 100;
