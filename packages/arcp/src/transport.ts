/**
 * What carries messages between two peers: a WebSocket, a pair of pipes, two objects in one process.
 * Invariant: messages arrive whole, in order, at most once; nothing arrives after `closed`.
 */

/** Why a transport ended. Codes are those of RFC 6455, also where there is no WebSocket. */
export interface TransportClose {
  /** Such as 1000. */
  readonly code: number;
  /** At most 123 bytes. */
  readonly reason: string;
}

/** Whoever listens at one end. */
export interface TransportListener {
  /** A message arrived. */
  message(text: string): void;
  /** Something arrived that is no message: a binary frame, an overlong line. */
  malformed(reason: string): void;
  /** The transport took what was given to it and has room again. */
  drained(): void;
  /** It is over; called exactly once, also after an own `close`. */
  closed(close: TransportClose): void;
}

/** One end. */
export interface Transport {
  /** Starts delivery. Nothing is delivered, and nothing lost, before it. */
  open(listener: TransportListener): void;
  /** Sends messages, in order and in as few writes as possible. Does nothing once closed. */
  send(messages: readonly string[]): void;
  /** Bytes that were given to `send` and have not left yet. */
  bufferedBytes(): number;
  /** Stops reading; the peer feels it. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Sends what is buffered, then ends; after `forceAfterMs` without an answer of the peer it ends all the same. */
  close(close: TransportClose): void;
}

/** Usual reasons, by their RFC 6455 code. */
export const CLOSE_CODES: Readonly<Record<CloseReason, number>> = {
  normal: 1000,
  goingAway: 1001,
  policy: 1008,
  tooBig: 1009,
  internal: 1011,
  tryAgainLater: 1013,
};

/** Usual reasons. */
export type CloseReason = 'normal' | 'goingAway' | 'policy' | 'tooBig' | 'internal' | 'tryAgainLater';
