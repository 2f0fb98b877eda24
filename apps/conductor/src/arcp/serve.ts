/**
 * The node as an ARCP runtime behind the HTTP server of its API.
 * Invariant: a node has one store of sessions, named after it; the lock of the node's name keeps everybody else out.
 */
import { mkdirSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import path from 'node:path';
import type { Duplex } from 'node:stream';

import {
  type Authenticator,
  createTokenAuthenticator,
  refuseUpgrade,
  serveWebSocket,
  startRuntime,
} from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';

import type { Config } from '../config.ts';
import type { DaemonOptions } from '../daemon/daemon.ts';
import { SHARED_PRINCIPAL } from '../arcp-config.ts';
import { ConductorError } from '../errors.ts';
import type { Guard } from '../http/guard.ts';
import { tokenSchema } from '../settings.ts';
import { VERSION } from '../version.ts';
import { toAgents } from './agents.ts';
import { createJobHost } from './job-host.ts';

/** Where clients connect. */
const ARCP_PATH = '/arcp';

/** A running runtime; whoever starts it stops it. */
export interface ArcpServer {
  /** Ends every connection; what runs goes on. */
  stop(): Promise<void>;
}

/**
 * Takes up the jobs of an earlier process and serves `/arcp`.
 *
 * @param options - the daemon's
 * @param server - takes the upgrades
 * @param guard - checks their Host and Origin, and the token that comes with the first message
 * @throws ConductorError with code `token-invalid` when a variable of `arcp.tokens` holds no token
 * @throws ArcpError with code store-unreadable when the node's sessions cannot be read
 */
export function startArcp(options: DaemonOptions, server: Server, guard: Guard): ArcpServer {
  const { config, io, store: jobStore, logger, taskBell } = options;
  const { settings } = config;
  const { unnameable } = toAgents(config.jobs);
  if (unnameable.length > 0) logger.warn({ jobs: unnameable }, 'arcp.jobs-not-offered');
  const authenticator = createAuthenticator(config, guard, io.env);
  const store = openSqliteEventStore({ file: storeFile(settings), durability: settings.durability });
  // Not that of the daemon: while it drains, jobs still end, and may still be called off.
  const stopping = new AbortController();
  const host = createJobHost({
    store: jobStore,
    settings,
    jobs: () => options.config.jobs,
    bell: taskBell,
    clock: io.clock,
    logger,
    stopping: stopping.signal,
  });
  try {
    const runtime = startRuntime({
      name: 'conductor',
      version: VERSION,
      host,
      authenticator,
      store,
      clock: io.clock,
      logger,
      onFailure: (error) => logger.error({ err: error }, 'arcp.store-failed'),
    });
    host.endOrphans().catch((error: unknown) => logger.error({ err: error }, 'arcp.orphans-not-ended'));
    const serving = serveWebSocket(runtime, server, {
      path: ARCP_PATH,
      mayConnect: (request) => mayConnect(guard, request),
    });
    server.on('upgrade', refuseOthers);
    return {
      async stop() {
        serving.stop();
        stopping.abort();
        await runtime.stop();
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

/** One file per node: two daemons of a machine have two names, and never one file. */
function storeFile({ stateDir, nodeId }: Config['settings']): string {
  const folder = path.join(stateDir, 'arcp');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return path.join(folder, `${encodeURIComponent(nodeId)}.db`);
}

/** Who presents the shared token is `local`; every further token has a name of its own. */
function createAuthenticator(
  { arcp }: Config,
  guard: Guard,
  env: Readonly<Record<string, string | undefined>>,
): Authenticator {
  const principals: Record<string, string> = {};
  for (const [principal, variable] of Object.entries(arcp.tokens)) {
    const parsed = tokenSchema.safeParse(env[variable] ?? '');
    const isTaken = parsed.success && (guard.isToken(parsed.data) || parsed.data in principals);
    if (!parsed.success || isTaken) {
      const state = isTaken ? 'holds the token of somebody else' : 'holds no token';
      const wanted = parsed.success ? 'expected one of its own' : (parsed.error.issues[0]?.message ?? '');
      throw new ConductorError(
        'token-invalid',
        `Cannot use the ARCP token of "${principal}": the variable ${variable} ${state}, ${wanted}`,
      );
    }
    principals[parsed.data] = principal;
  }
  const others = createTokenAuthenticator(principals);
  return {
    authenticate(auth) {
      if (auth.scheme === 'bearer' && guard.isToken(auth.token)) return SHARED_PRINCIPAL;
      return others.authenticate(auth);
    },
  };
}

function mayConnect(guard: Guard, { headers }: IncomingMessage): boolean {
  try {
    guard.requireHost(headers);
    guard.requireOrigin(headers);
    return true;
  } catch (error) {
    if (error instanceof ConductorError) return false;
    throw error;
  }
}

/** An upgrade nobody takes would stay open for ever. */
function refuseOthers(request: IncomingMessage, stream: Duplex): void {
  if ((request.url ?? '').split('?')[0] === ARCP_PATH) return;
  refuseUpgrade(stream, '404 Not Found');
}
