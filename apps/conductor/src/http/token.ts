/**
 * The shared token of the HTTP API: configured, or kept in a file that is made at first start.
 * Invariant: the file appears whole and with mode 0600, also when two daemons make it at once; the token is never printed.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

import type { Config } from '../config.ts';
import { ConductorError } from '../errors.ts';
import { tokenSchema } from '../settings.ts';

/**
 * The token a daemon asks for; makes the default file when it is not there.
 *
 * @param config - where the token is
 * @throws ConductorError with code `token-invalid` when a file that was named is not there, or holds no token
 */
export function requireToken(config: Pick<Config, 'settings' | 'sources'>): string {
  const { sharedTokenFile } = config.settings;
  const known = readToken(config);
  if (known !== undefined) return known;
  if (config.sources.sharedTokenFile !== 'default') {
    throw new ConductorError(
      'token-invalid',
      `Cannot read shared-token-file "${sharedTokenFile}": there is no such file, expected one with a token`,
      { hint: `Make it: (umask 077; openssl rand -hex 32 > ${sharedTokenFile})` },
    );
  }
  makeTokenFile(sharedTokenFile);
  return requireToken(config);
}

/**
 * The token a client sends; makes nothing.
 *
 * @param config - where the token is
 * @returns `undefined` when none is configured and no daemon has made one yet
 * @throws ConductorError with code `token-invalid` when the file cannot be read or holds no token
 */
export function readToken({ settings }: Pick<Config, 'settings'>): string | undefined {
  if (settings.sharedToken !== '') return settings.sharedToken;
  const file = settings.sharedTokenFile;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConductorError('token-invalid', `Cannot read shared-token-file "${file}": ${reason}`, {
      cause: error,
    });
  }
  const parsed = tokenSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new ConductorError(
    'token-invalid',
    `Cannot use shared-token-file "${file}": it holds no token, ${parsed.error.issues[0]?.message ?? ''}`,
    { hint: `Make one: (umask 077; openssl rand -hex 32 > ${file})` },
  );
}

/** Written beside it and linked: whoever comes second finds the first one's, never half of it. */
function makeTokenFile(file: string): void {
  const written = `${file}.${randomUUID()}`;
  writeFileSync(written, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(written, file);
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  } finally {
    rmSync(written, { force: true });
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
