/**
 * Who may come in: the Host and Origin of a request and its token. Used for requests and for WebSocket upgrades alike.
 * Invariant: a page of a foreign site cannot pass, even one whose name points to this machine (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

import { ConductorError } from '../errors.ts';

/** What a door lets in. */
export interface GuardOptions {
  /** The shared secret. */
  readonly token: string;
  /** The address it listens on, `local-api-host`. */
  readonly listenHost: string;
  /** Further names of this machine, used only when it listens beyond the loopback. */
  readonly names?: readonly string[];
}

/** The checks, each throwing a ConductorError when it refuses. */
export interface Guard {
  /** Code `host-refused` unless the request names this machine as it may be named. */
  requireHost(headers: IncomingHttpHeaders): void;
  /** Code `origin-refused` when a browser sent it from a page of another origin. Programs send no Origin. */
  requireOrigin(headers: IncomingHttpHeaders): void;
  /** Code `unauthorized` unless `Authorization: Bearer` carries the token. */
  requireToken(headers: IncomingHttpHeaders): void;
  /** Whether a text is the token, compared in constant time; for tokens that come another way than as a header. */
  isToken(text: string): boolean;
}

/**
 * Makes the checks of one door.
 *
 * @param options - what it lets in
 */
export function createGuard({ token, listenHost, names = [] }: GuardOptions): Guard {
  const expected = digest(token);
  const isLocal = isLoopback(listenHost);
  const own = isIP(listenHost) === 6 ? `[${listenHost}]` : listenHost;
  const extra = isLocal ? [own] : [own, ...names];
  const known = new Set(['localhost', '127.0.0.1', '[::1]', ...extra.map((name) => name.toLowerCase())]);

  const isToken = (text: string): boolean => timingSafeEqual(digest(text), expected);
  return {
    requireHost({ host }) {
      const name = hostName(host);
      // Rebinding needs a name: an address in the Host header is what the client really connected to.
      if (name !== undefined && (known.has(name) || (!isLocal && isAddress(name)))) return;
      throw new ConductorError(
        'host-refused',
        `Cannot take the request: its Host is "${host ?? ''}", expected ${[...known].join(', ')}`,
      );
    },
    requireOrigin({ origin, host }) {
      if (origin === undefined || sameOrigin(origin, host)) return;
      throw new ConductorError(
        'origin-refused',
        `Cannot take the request: its Origin is "${origin}", expected none or that of this server`,
      );
    },
    requireToken({ authorization }) {
      const sent = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '')?.[1];
      if (sent !== undefined && isToken(sent)) return;
      const found = sent === undefined ? 'it carries no bearer token' : 'its bearer token is another one';
      throw new ConductorError(
        'unauthorized',
        `Cannot take the request: ${found}, expected the shared token`,
        {
          hint: 'Send "Authorization: Bearer TOKEN"; the token is in the file `shared-token-file` names.',
        },
      );
    },
    isToken,
  };
}

/** Whether only this machine can reach an address to listen on. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** The name in a Host header, lower case, without the port; `undefined` when it is no host at all. */
function hostName(host: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.exec((host ?? '').toLowerCase())?.[1];
}

function isAddress(name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

/** A proxy may speak TLS for us, so the scheme does not count. */
function sameOrigin(origin: string, host: string | undefined): boolean {
  return /^https?:\/\/(.+)$/.exec(origin.toLowerCase())?.[1] === host?.toLowerCase();
}

/** Digests are of one length, whatever is compared. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
