/**
 * Messages over a unix socket: one JSON value a line, both ways.
 * Invariant: the socket lies in a directory only its user may enter, and is 0600 itself.
 */
import { chmodSync, closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { WorkerRunnerError } from './errors.ts';

/** A connection that carries JSON values. */
export interface LineSocket {
  /** Sends one value; dropped when the connection is gone. */
  send(value: unknown): void;
  /** Ends the connection. */
  close(): void;
  /** Aborted when the connection is gone, from whichever side. */
  readonly closed: AbortSignal;
}

/**
 * Connects to a socket.
 *
 * @param path - of any length
 * @param onMessage - called for each value
 * @returns `undefined` when nobody listens there
 */
export function connectLines(
  path: string,
  onMessage: (value: unknown, socket: LineSocket) => void,
): Promise<LineSocket | undefined> {
  return withShortPath(path, (shortPath) => {
    const socket = createConnection(shortPath);
    return new Promise((resolve) => {
      const fail = (): void => resolve(undefined);
      socket.once('error', fail);
      socket.once('connect', () => {
        socket.off('error', fail);
        resolve(wrapSocket(socket, onMessage));
      });
    });
  });
}

/**
 * Listens on a socket, replacing a stale one. The caller makes sure that nobody alive owns it.
 *
 * @param path - of any length
 * @param onMessage - called for each value of each connection
 * @param onConnection - called for each connection
 */
export function listenLines(
  path: string,
  onMessage: (value: unknown, socket: LineSocket) => void,
  onConnection: (socket: LineSocket) => void,
): Promise<Server> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(path, { force: true });
  const server = createServer((socket) => onConnection(wrapSocket(socket, onMessage)));
  return withShortPath(
    path,
    (shortPath) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(shortPath, () => {
          chmodSync(path, 0o600);
          resolve(server);
        });
      }),
  );
}

function wrapSocket(socket: Socket, onMessage: (value: unknown, socket: LineSocket) => void): LineSocket {
  const closed = new AbortController();
  const lineSocket: LineSocket = {
    send(value) {
      if (!socket.destroyed) socket.write(`${JSON.stringify(value)}\n`);
    },
    close: () => socket.destroy(),
    closed: closed.signal,
  };
  const parts: string[] = [];
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    const lines = chunk.split('\n');
    for (const [index, line] of lines.entries()) {
      parts.push(line);
      if (index === lines.length - 1) break;
      const message = parseLine(parts.splice(0).join(''));
      if (message === undefined) return void socket.destroy();
      onMessage(message.value, lineSocket);
    }
    return undefined;
  });
  // What went wrong does not matter to either side: the connection is gone.
  socket.on('error', () => socket.destroy());
  socket.on('close', () => closed.abort());
  return lineSocket;
}

function parseLine(line: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(line) as unknown };
  } catch {
    return undefined;
  }
}

/** A socket's path holds about 100 bytes. On Linux a longer one is reached through an open descriptor of its directory. */
async function withShortPath<T>(path: string, use: (shortPath: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return use(path);
  let fd: number;
  try {
    fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new WorkerRunnerError(
      'supervisor-unavailable',
      `Cannot use socket "${path}": its directory cannot be opened, expected one to exist`,
      { cause: error },
    );
  }
  try {
    return await use(join('/proc/self/fd', String(fd), basename(path)));
  } finally {
    closeSync(fd);
  }
}

const MAX_SOCKET_PATH_BYTES = 100;
