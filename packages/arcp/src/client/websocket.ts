/** Connecting to a runtime over the network. */
import { WebSocket } from 'ws';
import type { Transport } from '../transport.ts';
import { createWebSocketTransport } from '../websocket-transport.ts';

/** How to connect. */
export interface WebSocketOptions {
  /**
   * Bytes in a message; a larger one ends the connection.
   *
   * @defaultValue 16,777,216
   */
  readonly maxPayloadBytes?: number;
  /** Extra request headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Makes a function for `ClientOptions.connect`.
 *
 * @param url - `ws:` or `wss:`
 * @param options - limits and headers
 */
export function connectWebSocket(url: string, options: WebSocketOptions = {}): () => Transport {
  const { maxPayloadBytes = 16 * 1_024 * 1_024, headers = {} } = options;
  return () => {
    const socket = new WebSocket(url, {
      maxPayload: maxPayloadBytes,
      perMessageDeflate: false,
      headers: { ...headers },
    });
    const transport = createWebSocketTransport(socket);
    // What is sent before the connection is up waits for it.
    let early: string[] | undefined = [];
    socket.once('open', () => {
      const waiting = early ?? [];
      early = undefined;
      transport.send(waiting);
    });
    return {
      ...transport,
      send(messages) {
        if (early === undefined) transport.send(messages);
        else early.push(...messages);
      },
    };
  };
}
