/** Opens the door: listens where the settings say. Invariant: a port somebody named is that port, or an error that says so. */
import type { AddressInfo } from 'node:net';

import type { FastifyInstance } from 'fastify';

import type { Config } from '../config.ts';
import { ConductorError } from '../errors.ts';

/**
 * Listens on `local-api-host` and `local-api-port`. When the default port is taken, as by another daemon of this
 * machine, a free one is taken instead.
 *
 * @param app - what to open; closed by the caller, also when this throws
 * @param config - where
 * @returns the URL to reach it at from this machine
 * @throws ConductorError with code `port-in-use` when a port that was named is taken, `config-invalid` when the address is not of this machine
 */
export async function listen(
  app: FastifyInstance,
  { settings, sources }: Pick<Config, 'settings' | 'sources'>,
): Promise<string> {
  const { localApiHost: host, localApiPort: port } = settings;
  try {
    await bind(app, host, port);
  } catch (error) {
    if (!isCode(error, 'EADDRINUSE') || sources.localApiPort !== 'default') throw explain(error, host, port);
    await bind(app, host, 0);
  }
  return urlOf(app);
}

function bind(app: FastifyInstance, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    app.server.once('error', reject);
    app.server.listen({ host, port }, () => {
      app.server.off('error', reject);
      resolve();
    });
  });
}

function urlOf(app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo;
  const reachable = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  return `http://${family === 'IPv6' && reachable === address ? `[${reachable}]` : reachable}:${port}`;
}

function explain(error: unknown, host: string, port: number): unknown {
  if (isCode(error, 'EADDRINUSE') || isCode(error, 'EACCES')) {
    const why = isCode(error, 'EACCES') ? 'you may not use it' : 'another program has it';
    return new ConductorError(
      'port-in-use',
      `Cannot listen on ${host} with local-api-port "${port}": ${why}, expected a free port`,
      { cause: error, hint: 'Name another one with --local-api-port, or 0 for any that is free.' },
    );
  }
  if (isCode(error, 'EADDRNOTAVAIL') || isCode(error, 'ENOTFOUND') || isCode(error, 'EAI_AGAIN')) {
    return new ConductorError(
      'config-invalid',
      `Cannot listen on local-api-host "${host}": it is no address of this machine`,
      { cause: error, hint: 'Leave --local-api-host at 127.0.0.1, or name an address of this machine.' },
    );
  }
  return error;
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
