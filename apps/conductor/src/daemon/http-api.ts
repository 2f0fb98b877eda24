/** The daemon's HTTP API: which routes it has, and its start and stop. The only file that knows all plugins. */
import type { FastifyPluginAsync } from 'fastify';

import { startArcp } from '../arcp/serve.ts';
import { createHttpApp } from '../http/app.ts';
import { publishApi } from '../http/api-place.ts';
import { createGuard, type Guard } from '../http/guard.ts';
import { listen } from '../http/listen.ts';
import { requireToken } from '../http/token.ts';
import type { DaemonOptions } from './daemon.ts';
import type { DaemonParts } from './parts.ts';

/** What a plugin of the daemon may use. Parts that start later are `undefined` until then. */
export interface PluginDeps {
  readonly options: DaemonOptions;
  readonly parts: DaemonParts;
  /** For WebSocket upgrades, which pass by the hooks of requests. */
  readonly guard: Guard;
}

/** The routes of a daemon: one line per plugin. */
function createPlugins(deps: PluginDeps): readonly FastifyPluginAsync[] {
  return [
    async (app) => {
      const arcp = startArcp(deps.options, app.server, deps.guard);
      app.addHook('preClose', () => arcp.stop());
    },
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
  const plugins = createPlugins({ options, parts, guard });
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
