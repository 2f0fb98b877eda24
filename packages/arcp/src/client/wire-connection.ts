/**
 * One connection of a client: hello, heartbeats, messages both ways. Invariant: it is over exactly once, and whoever
 * started it is told why.
 */
import type { Clock, Timer } from '@conductor-run/clock';
import { ArcpError, payloadToError } from '../errors.ts';
import { parseFrame } from '../frame.ts';
import type { Logger } from '../logger.ts';
import { parseRuntimeMessage, type RuntimeMessage } from '../runtime-messages.ts';
import { CLOSE_CODES, type Transport } from '../transport.ts';
import { PROTOCOL_VERSION, type Envelope, type SessionWelcome } from '../wire.ts';

/** What happens on a connection. */
export interface WireEvents {
  /** The hello was answered. */
  welcome(sessionId: string, welcome: SessionWelcome): void;
  /** A message after the welcome. */
  message(envelope: Envelope, message: RuntimeMessage): void;
  /** It is over; `error` says why, when somebody said. */
  over(error: ArcpError | undefined): void;
}

/** How a connection is made. */
export interface WireOptions {
  readonly transport: Transport;
  readonly hello: object;
  readonly welcomeTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a message is about. */
export interface WireAbout {
  readonly id?: string;
  readonly traceId?: string;
  readonly jobId?: string;
}

/** An open connection. */
export interface Wire {
  /** Sends a message; gives its id. */
  send(type: string, payload: unknown, about?: WireAbout): void;
  /** Ends it. */
  close(): void;
}

/** Makes a connection and says hello. */
export function openWire(options: WireOptions, events: WireEvents): Wire {
  const { transport, clock, logger } = options;
  let sessionId: string | undefined;
  let isOver = false;
  let refusal: ArcpError | undefined;
  let nextId = 1;
  let lastReceivedMs = clock.monotonicMs();
  let lastSentMs = lastReceivedMs;
  let heartbeat: Timer | undefined;
  const welcomeTimer = clock.setTimer(options.welcomeTimeoutMs, () => {
    refusal = new ArcpError('connection-lost', 'Cannot open session: no welcome came in time');
    transport.close({ code: CLOSE_CODES.policy, reason: 'welcome timeout' });
  });

  const finish = (): void => {
    if (isOver) return;
    isOver = true;
    welcomeTimer.cancel();
    heartbeat?.cancel();
    events.over(refusal);
  };
  const send: Wire['send'] = (type, payload, { id = `k${nextId++}`, traceId, jobId } = {}) => {
    if (isOver) return;
    lastSentMs = clock.monotonicMs();
    transport.send([
      JSON.stringify({
        arcp: PROTOCOL_VERSION,
        id,
        type,
        session_id: sessionId,
        trace_id: traceId,
        job_id: jobId,
        payload,
      }),
    ]);
  };
  /** Both ways: pings when this side was silent, gives up when the other one is. */
  const beat = (intervalMs: number): void => {
    heartbeat = clock.setTimer(
      intervalMs / 2,
      () => {
        const now = clock.monotonicMs();
        if (now - lastReceivedMs > 2 * intervalMs) {
          refusal = new ArcpError('HEARTBEAT_LOST', 'Cannot keep connection: the runtime is silent');
          transport.close({ code: CLOSE_CODES.goingAway, reason: 'heartbeat lost' });
          return;
        }
        if (now - lastSentMs >= intervalMs / 2) {
          send('session.ping', { nonce: `p${nextId}`, sent_at: new Date(clock.nowMs()).toISOString() });
        }
        beat(intervalMs);
      },
      { keepAlive: false },
    );
  };
  const receive = (text: string): void => {
    lastReceivedMs = clock.monotonicMs();
    let envelope: Envelope;
    let message: RuntimeMessage;
    try {
      envelope = parseFrame(text, { maxLength: Number.MAX_SAFE_INTEGER });
      message = parseRuntimeMessage(envelope);
    } catch (error) {
      // One strange message is no reason to lose a session.
      logger.warn({ err: error }, 'message of the runtime could not be read');
      return;
    }
    if (message.type === 'session.ping') {
      const receivedAt = new Date(clock.nowMs()).toISOString();
      send('session.pong', { ping_nonce: message.payload.nonce, received_at: receivedAt });
    } else if (message.type === 'session.welcome' && sessionId === undefined) {
      sessionId = envelope.session_id ?? '';
      welcomeTimer.cancel();
      const seconds = message.payload.heartbeat_interval_sec;
      if (seconds !== undefined) beat(seconds * 1_000);
      events.welcome(sessionId, message.payload);
    } else {
      // Before the welcome, and for a lost heartbeat, an error is about the connection.
      if (message.type === 'session.error' && (sessionId === undefined || isAboutConnection(message))) {
        refusal = payloadToError(message.payload);
        // Not every runtime closes what it refused; waiting for a welcome would only cost time.
        transport.close({ code: CLOSE_CODES.normal, reason: 'refused' });
      }
      if (sessionId !== undefined) events.message(envelope, message);
    }
  };
  transport.open({
    message: receive,
    malformed: (reason) => logger.warn({ reason }, 'message of the runtime could not be read'),
    drained: () => undefined,
    closed: finish,
  });
  send('session.hello', options.hello);
  return {
    send,
    close() {
      transport.close({ code: CLOSE_CODES.normal, reason: 'client closed' });
    },
  };
}

function isAboutConnection(message: RuntimeMessage & { readonly type: 'session.error' }): boolean {
  return message.payload.code === 'HEARTBEAT_LOST';
}
