/** Checks of the store: it opens, it can be written, it answers in time, and nothing in it is from the future. */
import { randomUUID } from 'node:crypto';

import {
  JobStoreError,
  type JobStoreErrorCode,
  openJobStore,
  type SqliteJobStore,
} from '@conductor-run/job-store';

import { LEADERSHIP } from '../leadership.ts';
import { formatDuration } from '../duration.ts';
import { isConfigCurrent, toNodeState } from '../node-state.ts';
import { ensureStateDir } from '../state-dir.ts';
import { formatRelative } from '../terminal/time.ts';
import type { Check, CheckOptions, Finding } from './finding.ts';

/** Checks of the store, in the order they are printed. */
export const STORE_CHECKS: readonly Check[] = [
  { name: 'store', run: checkStore },
  { name: 'file system', run: checkFileSystem },
  { name: 'lease latency', run: (options) => withStore(options, (store) => checkLatency(store, options)) },
  { name: 'daemon', run: (options) => withStore(options, (store) => checkDaemon(store, options)) },
];

async function checkStore(options: CheckOptions): Promise<Finding> {
  const path = pathOf(options);
  try {
    // Writing is tried on a node's record: jobs are left alone.
    await withStore(options, (store) => beat(store, `doctor/${randomUUID()}`, 1));
    return { status: 'ok', detail: `${path} opens and can be written` };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { status: 'bad', detail, mend: mendOf(error, path) };
  }
}

function mendOf(error: unknown, path: string): string {
  const known = error instanceof JobStoreError ? MENDS[error.code] : undefined;
  return known ?? `See that ${path} can be read and written by you, and that nobody holds it for long.`;
}

const MENDS: Readonly<Partial<Record<JobStoreErrorCode, string>>> = {
  'network-file-system': 'Put the store on a local disk: --store sqlite:PATH, or stateDir in the config.',
  'schema-too-new': 'A newer conductor has used it: install that version here too.',
  'disk-full': 'Make room on the disk of the store.',
  corrupt: 'Bring back a backup: conductor store backup makes them.',
};

async function checkFileSystem(options: CheckOptions): Promise<Finding> {
  try {
    return await withStore(options, async () => ({
      status: 'ok',
      detail: 'the store is on a local file system',
    }));
  } catch (error) {
    if (!(error instanceof JobStoreError) || error.code !== 'network-file-system') {
      return { status: 'warn', detail: 'not known: the store does not open', mend: 'Mend the store first.' };
    }
    return { status: 'bad', detail: error.message, mend: mendOf(error, pathOf(options)) };
  }
}

/** Times writes as the leader's lease and the heartbeats make them. */
async function checkLatency(store: SqliteJobStore, { io, config }: CheckOptions): Promise<Finding> {
  const nodeId = `doctor/${randomUUID()}`;
  const tookMs: number[] = [];
  for (let count = 0; count < BEATS; count += 1) {
    const startedAtMs = io.clock.monotonicMs();
    await beat(store, nodeId, 1, false);
    tookMs.push(io.clock.monotonicMs() - startedAtMs);
  }
  await store.removeNode(nodeId);
  tookMs.sort((one, other) => one - other);
  const [median = 0, worst = 0] = [tookMs[Math.floor(BEATS / 2)], tookMs.at(-1)];
  const detail = `${BEATS} heartbeats: median ${formatDuration(median)}, worst ${formatDuration(worst)}`;
  // A leader that cannot renew within this stops itself.
  const deadlineMs = config.settings.leaseRenewDeadlineMs;
  const mend =
    'Use a faster disk for the store, or raise lease-ttl-ms, lease-renew-deadline-ms and lease-retry-ms together.';
  if (worst > deadlineMs / 2) return { status: 'bad', detail, mend };
  return worst > deadlineMs / 10 ? { status: 'warn', detail, mend } : { status: 'ok', detail };
}

async function checkDaemon(store: SqliteJobStore, { io }: CheckOptions): Promise<Finding> {
  const nowMs = io.clock.nowMs();
  const nodes = (await store.nodes()).map((node) => toNodeState(node, nowMs));
  const leadership = await store.leadership(LEADERSHIP);
  const newestMs = Math.max(0, leadership?.renewedAtMs ?? 0, ...nodes.map((node) => node.beatAtMs));
  if (newestMs > nowMs + FUTURE_MS) {
    return {
      status: 'bad',
      detail: `the last sign of life is ${formatRelative(newestMs, nowMs)}: the clock went back`,
      mend: 'Set the clock right; leases hold by monotonic time, but due times and retries are late until then.',
    };
  }
  const live = nodes.filter((node) => node.isLive);
  const silent = nodes.filter((node) => !node.isLive).map((node) => node.nodeId);
  if (live.length > 0) {
    const older = live.filter((node) => isConfigCurrent(node) === false).map((node) => node.nodeId);
    const refused = live.find((node) => node.config?.problem !== undefined);
    if (older.length > 0) {
      const why = refused?.config?.problem === undefined ? '' : `; it was refused: ${refused.config.problem}`;
      const detail = `${older.join(', ')} runs an older config${why}`;
      return { status: 'warn', detail, mend: 'Changed jobs are run as they were: conductor reload' };
    }
    const rest = silent.length === 0 ? '' : `; silent: ${silent.join(', ')}`;
    return { status: 'ok', detail: `up: ${live.map((node) => node.nodeId).join(', ')}${rest}` };
  }
  const detail = silent.length === 0 ? 'none is up' : `none is up; silent: ${silent.join(', ')}`;
  return { status: 'warn', detail, mend: 'Schedules and enqueued jobs wait: conductor start' };
}

async function beat(store: SqliteJobStore, nodeId: string, ttlMs: number, isRemoved = true): Promise<void> {
  await store.nodeHeartbeat({ nodeId, host: 'doctor', ttlMs });
  if (isRemoved) await store.removeNode(nodeId);
}

async function withStore<Result>(
  options: CheckOptions,
  use: (store: SqliteJobStore) => Promise<Result>,
): Promise<Result> {
  const { settings } = options.config;
  ensureStateDir(settings.stateDir);
  const store = await openJobStore({
    path: pathOf(options),
    durability: settings.durability,
    clock: options.io.clock,
  });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

function pathOf({ config }: CheckOptions): string {
  return config.settings.store.slice('sqlite:'.length);
}

const BEATS = 20;
const FUTURE_MS = 5_000;
