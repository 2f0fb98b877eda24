/** Routes of nodes, leadership, slots, the store, the config and work trees: they translate, the packages decide. */
import type { FastifyPluginAsync } from 'fastify';

import { DEFAULT_LIMIT } from '../api/endpoint.ts';
import * as api from '../api/state-endpoints.ts';
import type { LiveConfig } from '../daemon/live-config.ts';
import { findGitPlace, noGitPlace } from '../git-place.ts';
import { parseCursor } from '../record/cursor.ts';
import type { RecordPlace } from '../record/record-place.ts';
import { readForecast, readSimulation } from '../record/slots.ts';
import { readLeader, readNodes, readStatus, readStoreStats } from '../record/state.ts';
import { listTaskWorktrees, pruneTaskWorktrees, type TaskWorktreesOptions } from '../task-worktrees.ts';
import { toConfigView } from '../views/config-view.ts';
import { toReloadView } from '../views/node-views.ts';
import { toPruneWorktreesView, toWorktreeView } from '../views/upkeep-views.ts';
import { mount } from './mount.ts';

/**
 * Makes the routes.
 *
 * @param place - the record, with the config in use
 * @param liveConfig - what reads the config again
 */
export function createStateRoutes(place: RecordPlace, liveConfig: LiveConfig): FastifyPluginAsync {
  const { store, clock } = place;
  const { nodeId } = place.config.settings;
  return async (app) => {
    mount(app, api.readStatus, () => readStatus(place, nodeId));
    mount(app, api.listNodes, () => readNodes(place));
    mount(app, api.readLeader, () => readLeader(place));
    mount(app, api.readStore, () => readStoreStats(place));
    mount(app, api.readConfig, async () => toConfigView(place.config));
    mount(app, api.reloadConfig, async () => toReloadView(nodeId, await liveConfig.reload()));
    for (const [endpoint, isPaused] of [
      [api.pauseAll, true],
      [api.resumeAll, false],
    ] as const) {
      mount(app, endpoint, async () => {
        await (isPaused ? store.pause() : store.resume());
        return { job: null, isPaused };
      });
    }
    mount(app, api.readForecast, ({ query: { hours = 48, limit = 1_000 } }) =>
      readForecast(place, hours * HOUR_MS, limit),
    );
    mount(app, api.simulateSpan, ({ body: { fromMs, toMs, down = [] }, signal }) => {
      const outages = down.map((span) => ({ ...span, reason: 'down' as const }));
      return readSimulation(place, { fromMs, toMs, outages, signal });
    });
    mount(app, api.pruneStore, ({ body: { maxAgeMs, jobs = false } }) =>
      store.prune({ finishedBeforeMs: clock.nowMs() - maxAgeMs, jobs }),
    );
    mount(app, api.listWorktrees, async ({ query: { limit = DEFAULT_LIMIT, cursor } }) => {
      const first = cursor === undefined ? 0 : parseCursor(cursor);
      const all = await listTaskWorktrees(await worktreePlace(place));
      const next = first + limit;
      return {
        worktrees: all.slice(first, next).map(toWorktreeView),
        nextCursor: next < all.length ? String(next) : null,
      };
    });
    mount(app, api.pruneWorktrees, async ({ body: { maxAgeMs = 0, isDryRun = false } }) => {
      const limits = { maxAgeMs, dryRun: isDryRun };
      return toPruneWorktreesView(await pruneTaskWorktrees(await worktreePlace(place), limits), isDryRun);
    });
  };
}

async function worktreePlace({ config, store, clock }: RecordPlace): Promise<TaskWorktreesOptions> {
  const { rootDir, settings } = config;
  const git = await findGitPlace(rootDir);
  if (git !== undefined) return { repoRoot: git.repoRoot, store, settings, clock };
  const hint = 'Work trees are made for jobs with `worktree`, which need a repository.';
  throw await noGitPlace('Cannot list work trees', rootDir, hint);
}

const HOUR_MS = 3_600_000;
