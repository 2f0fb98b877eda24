/** The prepared parts of one open main file. */
import { randomInt } from 'node:crypto';
import type { Database } from 'better-sqlite3';
import type { ClaimContext } from './claim.ts';
import { createReads } from './job-reads.ts';
import type { JobReads } from './job-store.ts';
import { prepareReads, type ReadStatements } from './read-statements.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { ReadLargeValue } from './rows.ts';
import { prepareSlots, type SlotStatements } from './slot-statements.ts';
import { prepareWrites } from './statements.ts';
import { createTokenSource } from './tokens.ts';
import { createCalls, type Calls } from './verbs.ts';

/** @internal What every facade of the store works with. */
export interface Engine {
  readonly calls: Calls;
  readonly reads: JobReads;
  readonly readStatements: ReadStatements;
  readonly slotStatements: SlotStatements;
  /** Whether the last claim left work of its own kind undone: the next need not wait. */
  readonly isBehind: () => boolean;
}

/** @internal Prepares every statement of a main file once. */
export function createEngine(
  db: Database,
  settings: {
    readonly retries: number;
    readonly retry: RetryPolicy;
    readonly random: () => number;
  },
): Engine {
  const writes = prepareWrites(db);
  const reads = prepareReads(db);
  const slots = prepareSlots(db);
  const { retries: defaultRetries, retry, random } = settings;
  const readLargeValue: ReadLargeValue = (jobId, name) => reads.largeValue.get({ jobId, name });
  const enqueue = { statements: writes, selectWatermark: reads.watermark, defaultRetries };
  const claim: ClaimContext = {
    writes,
    reads,
    readLargeValue,
    tokens: createTokenSource(writes, randomInt(1, MAX_OWNER)),
    defaultRetries,
    lastKind: undefined,
    isIdle: true,
    isBehind: false,
  };
  const calls = createCalls({
    writes,
    reads,
    enqueue,
    claim,
    finish: { writes, selectFailures: reads.failures, retry, random },
    slots: { statements: slots, enqueue },
  });
  return {
    calls,
    reads: createReads({ db, reads, slots, readLargeValue }),
    readStatements: reads,
    slotStatements: slots,
    isBehind: () => claim.isBehind,
  };
}

const MAX_OWNER = 2 ** 47;
