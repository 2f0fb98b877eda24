/** A WebSocket of the ws package as a transport. The only file that knows how ws behaves. */
import type { Duplex } from 'node:stream';
import { createRealClock, type Clock } from '@conductor-run/clock';
import { WebSocket } from 'ws';
import { CLOSE_CODES, type Transport, type TransportClose, type TransportListener } from './transport.ts';

/** What a WebSocket transport can be told. */
export interface WebSocketTransportOptions {
  /** The stream under the socket: writes of one turn then leave in one system call. */
  readonly stream?: Duplex;
  /**
   * Where timers come from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * How long a peer may take to answer a close before the connection is cut, milliseconds.
   *
   * @defaultValue 5,000
   */
  readonly forceAfterMs?: number;
}

/**
 * Wraps a socket, connecting or open.
 *
 * @param socket - not used for anything else; its `maxPayload` caps a message (1009)
 * @param options - the stream under it
 */
export function createWebSocketTransport(
  socket: WebSocket,
  options: WebSocketTransportOptions = {},
): Transport {
  const { stream, clock = createRealClock(), forceAfterMs = 5_000 } = options;
  let early: (string | undefined)[] | undefined = [];
  let listener: TransportListener | undefined;
  let own: TransportClose | undefined;
  let ended: TransportClose | undefined;
  let waitingForDrain = false;

  const onSent = (): void => {
    if (!waitingForDrain || socket.bufferedAmount > 0) return;
    waitingForDrain = false;
    listener?.drained();
  };
  const receive = (text: string | undefined): void => {
    if (listener === undefined) early?.push(text);
    else if (text === undefined) listener.malformed('binary frame');
    else listener.message(text);
  };
  socket.on('message', (bytes, isBinary) => {
    // `nodebuffer` is ws's default, so a message is always one Buffer.
    receive(isBinary || !Buffer.isBuffer(bytes) ? undefined : bytes.toString('utf8'));
  });
  socket.on('error', () => undefined); // `close` follows and carries the code.
  socket.on('close', (code, reason) => {
    ended = own ?? { code, reason: reason.toString('utf8') };
    listener?.closed(ended);
  });

  return {
    open(to) {
      listener = to;
      const waiting = early ?? [];
      early = undefined;
      for (const text of waiting) receive(text);
      if (ended !== undefined) to.closed(ended);
    },
    send(messages) {
      if (socket.readyState !== WebSocket.OPEN || messages.length === 0) return;
      const last = messages.length - 1;
      waitingForDrain = true;
      stream?.cork();
      messages.forEach((text, index) => {
        if (index === last) socket.send(text, onSent);
        else socket.send(text);
      });
      stream?.uncork();
    },
    bufferedBytes: () => socket.bufferedAmount,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close(close) {
      if (own !== undefined || ended !== undefined) return;
      own = close;
      if (socket.isPaused) socket.resume();
      socket.close(close.code === CLOSE_CODES.normal ? 1000 : close.code, close.reason.slice(0, MAX_REASON));
      const timer = clock.setTimer(forceAfterMs, () => socket.terminate(), { keepAlive: false });
      socket.once('close', () => timer.cancel());
    },
  };
}

const MAX_REASON = 120;
