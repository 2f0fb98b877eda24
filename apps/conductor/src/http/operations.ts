/** What operators ask: is it ready, and what does it count. Invariant: both are cheap whatever is in the store. */
import { statfs } from 'node:fs/promises';

import type { FastifyPluginAsync } from 'fastify';

import { LEADERSHIP } from '../leadership.ts';
import type { PluginDeps } from '../daemon/http-api.ts';
import { ConductorError } from '../errors.ts';

/** One thing without which a daemon is not ready. */
export interface ReadyCheck {
  readonly name: 'started' | 'store' | 'heartbeat' | 'leadership' | 'disk';
  readonly ok: boolean;
  /** What was seen, one sentence. */
  readonly detail: string;
}

/**
 * The routes `/readyz` and `/metrics`.
 *
 * @param deps - the daemon
 */
export function createOperations(deps: PluginDeps): FastifyPluginAsync {
  const { options, parts } = deps;
  const { store, metrics, io } = options;
  return async (app) => {
    app.get('/readyz', async () => {
      const checks = await checkReady(deps);
      const failed = checks.filter(({ ok }) => !ok);
      if (failed.length === 0) return { status: 'ready', checks };
      const why = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
      throw new ConductorError('not-ready', `Cannot take work: ${why}`, { details: { checks } });
    });
    app.get('/metrics', async (_request, reply) => {
      const text = await metrics.read({
        store,
        parts,
        settings: options.config.settings,
        nowMs: () => io.clock.nowMs(),
      });
      return reply.type(metrics.contentType).send(text);
    });
  };
}

async function checkReady({ options, parts }: PluginDeps): Promise<readonly ReadyCheck[]> {
  const { config, io, stopping } = options;
  const { heartbeatIntervalMs, renewFailureThreshold, runsDir } = config.settings;
  const isStarted = parts.isStarted && !stopping.aborted;
  const beatAgeMs = io.clock.monotonicMs() - (parts.heartbeat?.lastBeatMs() ?? -Infinity);
  const failures = parts.leader?.state().failures ?? 0;
  return [
    {
      name: 'started',
      ok: isStarted,
      detail: stopping.aborted ? 'it is stopping' : parts.isStarted ? 'everything is up' : 'it is starting',
    },
    await checkStore(options.store),
    {
      name: 'heartbeat',
      ok: beatAgeMs < MISSED_BEATS * heartbeatIntervalMs,
      detail: `the last one was written ${Math.round(beatAgeMs)} ms ago`,
    },
    {
      name: 'leadership',
      ok: failures < renewFailureThreshold,
      detail:
        failures === 0
          ? `this node is ${parts.leader?.state().role ?? 'starting'}`
          : `${failures} tries in a row failed`,
    },
    await checkDisk(runsDir, config.settings.stateDir),
  ];
}

async function checkStore(store: PluginDeps['options']['store']): Promise<ReadyCheck> {
  try {
    await store.leadership(LEADERSHIP);
    await store.list({ limit: 1 });
    return { name: 'store', ok: true, detail: 'it answers' };
  } catch (error) {
    return { name: 'store', ok: false, detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Run directories are made with the first run; until then they will be made in the state directory. */
async function checkDisk(...folders: readonly string[]): Promise<ReadyCheck> {
  for (const folder of folders) {
    try {
      const { bavail, bsize } = await statfs(folder);
      const free = bavail * bsize;
      return {
        name: 'disk',
        ok: free >= MIN_FREE_BYTES,
        detail: `${Math.floor(free / 1_048_576)} MiB are free`,
      };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return { name: 'disk', ok: false, detail: 'the state directory is gone' };
}

const MISSED_BEATS = 3;
/** Below this no run should be begun; the same as `conductor doctor` calls bad. */
const MIN_FREE_BYTES = 100 * 1_048_576;
