/**
 * A runtime behind an HTTP server, whatever server that is: it takes over the upgrades of one path and nothing else.
 * Invariant: an upgrade that is not ours is left to the other listeners of the server.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { createWebSocketTransport } from '../websocket-transport.ts';
import type { Runtime } from './runtime.ts';

/** How WebSockets are served. */
export interface WebSocketServingOptions {
  /**
   * The path of the upgrade request, without its query.
   *
   * @defaultValue /arcp
   */
  readonly path?: string;
  /**
   * Bytes in a message; a larger one closes the connection with 1009.
   *
   * @defaultValue 4,194,304
   */
  readonly maxPayloadBytes?: number;
  /**
   * The `Origin` values browsers may connect from; requests without one, as programs make them, always pass.
   *
   * @defaultValue none
   */
  readonly allowedOrigins?: readonly string[];
  /**
   * Asked before each upgrade, in place of `allowedOrigins`; false is answered with 403.
   *
   * @defaultValue by `allowedOrigins`
   */
  readonly mayConnect?: (request: IncomingMessage) => boolean;
}

/** A served path. */
export interface WebSocketServing {
  /** Takes no more upgrades. Connections that are open stay; `runtime.stop()` ends them. */
  stop(): void;
}

/**
 * Serves a runtime on a path of an HTTP server.
 *
 * @param runtime - gets every connection
 * @param server - listening or not; stays the caller's
 * @param options - which path
 */
export function serveWebSocket(
  runtime: Runtime,
  server: Server,
  options: WebSocketServingOptions = {},
): WebSocketServing {
  const { path = '/arcp', maxPayloadBytes = 4 * 1_024 * 1_024, allowedOrigins = [] } = options;
  const mayConnect =
    options.mayConnect ??
    (({ headers: { origin } }) => origin === undefined || allowedOrigins.includes(origin));
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxPayloadBytes,
    perMessageDeflate: false,
  });
  const onUpgrade = (request: IncomingMessage, stream: Duplex, head: Buffer): void => {
    if ((request.url ?? '').split('?')[0] !== path) return;
    if (!mayConnect(request)) {
      refuseUpgrade(stream, '403 Forbidden');
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      runtime.serve(createWebSocketTransport(socket, { stream }));
    });
  };
  server.on('upgrade', onUpgrade);
  return { stop: () => void server.off('upgrade', onUpgrade) };
}

/**
 * Answers an upgrade nobody takes, and closes its connection. Node leaves such a socket without any listener: a peer
 * that resets it would end the process.
 *
 * @param stream - from the `upgrade` event
 * @param status - the status line's code and words
 */
export function refuseUpgrade(stream: Duplex, status: '403 Forbidden' | '404 Not Found'): void {
  stream.on('error', () => stream.destroy());
  stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => stream.destroy());
}
