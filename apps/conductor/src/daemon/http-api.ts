/** The daemon's HTTP API: which routes it has, and its start and stop. The only file that knows all plugins. */
import type { FastifyPluginAsync } from 'fastify';

import { startArcp } from '../arcp/serve.ts';
import { createHttpApp } from '../http/app.ts';
import { publishApi } from '../http/api-place.ts';
import { createEventStreams } from '../http/event-stream.ts';
import { createGuard, type Guard } from '../http/guard.ts';
import { createJobRoutes } from '../http/job-routes.ts';
import { listen } from '../http/listen.ts';
import { openApiRoutes } from '../http/openapi.ts';
import { createOperations } from '../http/operations.ts';
import { createRunRoutes } from '../http/run-routes.ts';
import { createStateRoutes } from '../http/state-routes.ts';
import { requireToken } from '../http/token.ts';
import type { RecordPlace } from '../record/record-place.ts';
import type { DaemonOptions } from './daemon.ts';
import type { DaemonParts } from './parts.ts';

/** What a plugin of the daemon may use. Parts that start later are `undefined` until then. */
export interface PluginDeps {
  readonly options: DaemonOptions;
  readonly parts: DaemonParts;
  /** For WebSocket upgrades, which pass by the hooks of requests. */
  readonly guard: Guard;
}

/**
 * The routes of a daemon: one line per plugin.
 *
 * @param deps - the daemon
 */
export function createPlugins(deps: PluginDeps): readonly FastifyPluginAsync[] {
  const { options, parts } = deps;
  const { store, io, logger, stopping } = options;
  const place: RecordPlace = {
    get config() {
      return options.config;
    },
    store,
    clock: io.clock,
  };
  const streams = createEventStreams({ clock: io.clock, logger, stopping });
  return [
    openApiRoutes,
    createOperations(deps),
    createStateRoutes(place, parts.liveConfig),
    createJobRoutes(place),
    createRunRoutes(place, streams),
  ];
}

/**
 * Starts to listen.
 *
 * @param options - the daemon's
 * @param parts - what else there is of the daemon
 * @returns where it listens, and what ends it
 */
export async function startHttpApi(
  options: DaemonOptions,
  parts: DaemonParts,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { config, io, logger } = options;
  const { settings } = config;
  const guard = createGuard({
    token: requireToken(config),
    listenHost: settings.localApiHost,
    names: [settings.host],
  });
  const arcp: FastifyPluginAsync = async (app) => {
    const server = startArcp(options, app.server, guard);
    app.addHook('preClose', () => server.stop());
  };
  const plugins = [...createPlugins({ options, parts, guard }), arcp];
  const app = await createHttpApp({ guard, plugins, clock: io.clock, logger });
  try {
    const url = await listen(app, config);
    const unpublish = publishApi(settings, url);
    return {
      url,
      async stop() {
        unpublish();
        await app.close();
      },
    };
  } catch (error) {
    await app.close();
    throw error;
  }
}
