/**
 * One connection: what comes in is read and answered, what goes out waits for the commit and for the reader.
 * Invariant: at most `maxUnsentBytes` and one turn's output wait in memory for a reader that does not read, and a
 * connection that ends has been told why.
 */
import type { Timer } from '@conductor-run/clock';
import { ArcpError, errorToPayload, type ArcpErrorPayload } from '../errors.ts';
import { formatFrame, parseFrame } from '../frame.ts';
import { CLOSE_CODES, type Transport, type TransportListener } from '../transport.ts';
import { parseClientMessage, type ClientMessage } from '../client-messages.ts';
import type { Envelope, SessionHello } from '../wire.ts';
import { createInbox } from './inbox.ts';
import type { Core, Link, ReplyAbout, Session } from './core.ts';
import { eventFrame, releaseWaiting, signalPressure } from './stream.ts';

/** What a connection needs of the rest of the runtime. */
export interface ConnectionEvents {
  /** The first message; resolves to the session it opened or took up, or rejects with why not. */
  hello(link: Link, hello: SessionHello, transport: Transport): Promise<Session>;
  /** Every later message. Throws what is answered with `session.error`. */
  message(session: Session, envelope: Envelope, message: ClientMessage): void;
  /** The connection is gone. */
  closed(session: Session | undefined, link: Link): void;
}

/** A connection the runtime can end. */
export interface Connection {
  /** Starts listening. */
  open(): void;
  /** Ends it with a reason. */
  close(code: number, reason: string): void;
}

/**
 * Prepares to serve a transport.
 *
 * @param core - the runtime
 * @param transport - opened by `open`
 * @param events - what happens on it
 */
export function serveConnection(core: Core, transport: Transport, events: ConnectionEvents): Connection {
  const { settings, ledger } = core;
  const { clock, limits, logger } = settings;
  let session: Session | undefined;
  let state: 'silent' | 'greeting' | 'open' | 'over' = 'silent';
  let out: string[] = [];
  let early: string[] = [];
  let nextId = 1;
  let isCongested = false;
  let isPumping = false;
  let lastReceivedMs = clock.monotonicMs();
  let lastSentMs = lastReceivedMs;
  let lastBusyMs = lastReceivedMs;
  let heartbeat: Timer | undefined;
  let slowness: Timer | undefined;
  const helloTimer = clock.setTimer(settings.helloTimeoutMs, () => {
    if (state === 'silent' || state === 'greeting') {
      const error = new ArcpError('UNAUTHENTICATED', 'Cannot open session: no session.hello came in time');
      link.cut(errorToPayload(error), CLOSE_CODES.policy, 'hello timeout');
    }
  });

  const send = (frames: readonly string[]): void => {
    if (frames.length === 0 || state === 'over') return;
    lastSentMs = clock.monotonicMs();
    transport.send(frames);
    if (!isCongested && transport.bufferedBytes() > limits.maxUnsentBytes) congest();
  };
  const congest = (): void => {
    isCongested = true;
    transport.pause();
    watchSlowness(transport.bufferedBytes(), false);
  };
  /** Half the time until the client is told, the other half until it is cut; any byte it takes starts over. */
  const watchSlowness = (unsent: number, wasTold: boolean): void => {
    slowness?.cancel();
    slowness = clock.setTimer(settings.slowConsumerMs / 2, () => {
      if (!isCongested || state === 'over') return;
      const now = transport.bufferedBytes();
      const isStuck = now >= unsent;
      const [job] = session?.jobs ?? [];
      if (isStuck && wasTold) link.cut(undefined, CLOSE_CODES.tryAgainLater, 'slow consumer');
      else {
        if (isStuck && session !== undefined && job !== undefined) signalPressure(core, session, job);
        watchSlowness(now, isStuck);
      }
    });
  };
  const pump = (): void => {
    isPumping = false;
    if (session === undefined || state !== 'open' || isCongested || link.cursor >= session.lastSeq) return;
    const page = ledger.hasFailed()
      ? []
      : settings.store.readEvents({ sessionId: session.id, afterSeq: link.cursor, limit: PAGE_EVENTS });
    const last = page.at(-1);
    // An empty page: what is missing is in this turn and comes with its commit.
    if (last === undefined) return;
    link.cursor = last.seq;
    send(page.map(eventFrame));
    releaseWaiting(core, session);
    schedulePump();
  };
  /** A page a turn, so that replaying a long stream starves nobody. */
  const schedulePump = (): void => {
    if (isPumping || state !== 'open') return;
    isPumping = true;
    setImmediate(pump);
  };
  const link: Link = {
    cursor: 0,
    isLive: () =>
      session !== undefined && state === 'open' && !isCongested && link.cursor === session.lastSeq,
    push(frame) {
      out.push(frame);
    },
    reply(type, payload, about) {
      link.replyJson(type, JSON.stringify(payload), about);
    },
    replyJson(type, payloadJson, about: ReplyAbout = {}) {
      if (state === 'over') return;
      out.push(
        formatFrame({
          id: `c${nextId++}`,
          type,
          sessionId: session?.id ?? about.sessionId,
          traceId: about.traceId,
          jobId: about.jobId,
          payloadJson,
        }),
      );
      ledger.notify(link);
    },
    committed() {
      const frames = out;
      out = [];
      send(frames);
      if (session !== undefined && link.cursor < session.lastSeq && !isCongested) schedulePump();
    },
    cut(error: ArcpErrorPayload | undefined, code, reason) {
      if (state === 'over') return;
      if (error !== undefined) link.reply('session.error', error);
      // What was already answered leaves first; events that have not left are in the stream.
      if (!ledger.hasFailed()) ledger.flush();
      transport.close({ code, reason });
      over();
    },
  };
  const over = (): void => {
    if (state === 'over') return;
    state = 'over';
    helloTimer.cancel();
    heartbeat?.cancel();
    slowness?.cancel();
    early = [];
    out = [];
    inbox.clear();
    events.closed(session, link);
  };
  const greet = (hello: SessionHello): void => {
    state = 'greeting';
    // Nobody knows yet who this is: what it sends meanwhile stays in its own buffers.
    transport.pause();
    events.hello(link, hello, transport).then(
      (opened) => {
        if (state === 'over') {
          events.closed(opened, link);
          return;
        }
        session = opened;
        state = 'open';
        helloTimer.cancel();
        beat();
        const waiting = early;
        early = [];
        for (const text of waiting) receive(text);
        if (!isCongested && !inbox.isWaiting()) transport.resume();
      },
      (error: unknown) => link.cut(errorToPayload(error), CLOSE_CODES.policy, 'session refused'),
    );
  };
  const beat = (): void => {
    const intervalMs = settings.heartbeatIntervalSec * 1_000;
    heartbeat = clock.setTimer(
      intervalMs,
      () => {
        if (state !== 'open' || session === undefined) return;
        const now = clock.monotonicMs();
        const hasHeartbeat = session.features.has('heartbeat');
        if (hasHeartbeat && !isCongested && now - lastReceivedMs >= 2 * intervalMs) {
          const error = new ArcpError(
            'HEARTBEAT_LOST',
            'Cannot keep connection: nothing came for two intervals',
          );
          link.cut(errorToPayload(error), CLOSE_CODES.goingAway, 'heartbeat lost');
          return;
        }
        if (isIdle(session) && now - lastBusyMs >= settings.idleDisconnectMs) {
          link.cut(undefined, CLOSE_CODES.goingAway, 'idle session');
          return;
        }
        if (hasHeartbeat && !isCongested && now - lastSentMs >= intervalMs) {
          link.reply('session.ping', {
            nonce: `p${nextId}`,
            sent_at: new Date(clock.nowMs()).toISOString(),
          });
        }
        beat();
      },
      { keepAlive: false },
    );
  };
  /** False for what was refused. */
  const receive = (text: string): boolean => {
    if (state === 'over') return true;
    lastReceivedMs = clock.monotonicMs();
    if (state === 'greeting') {
      if (early.push(text) > MAX_EARLY) {
        const error = new ArcpError('INVALID_REQUEST', 'Cannot take more messages before the welcome');
        link.cut(errorToPayload(error), CLOSE_CODES.policy, 'too many messages before the welcome');
      }
      return true;
    }
    try {
      const envelope = parseFrame(text, {
        maxLength: limits.maxMessageLength,
        maxDepth: limits.maxMessageDepth,
      });
      const message = parseClientMessage(envelope);
      if (session === undefined) greet(requireHello(message));
      else {
        requireSession(envelope, session);
        if (message.type !== 'ping' && message.type !== 'pong') lastBusyMs = lastReceivedMs;
        events.message(session, envelope, message);
      }
      return true;
    } catch (error) {
      refuse(error);
      return false;
    }
  };
  const refuse = (error: unknown): void => {
    if (!(error instanceof ArcpError)) logger.error({ err: error }, 'message failed');
    if (session === undefined) {
      link.cut(errorToPayload(error), CLOSE_CODES.policy, 'expected session.hello');
    } else link.reply('session.error', errorToPayload(error));
  };

  const inbox = createInbox<{ readonly text: string } | { readonly malformed: string }>({
    clock,
    take(message) {
      if ('text' in message) return receive(message.text);
      const what = `Cannot read message: ${message.malformed}, expected one JSON object`;
      refuse(new ArcpError('INVALID_REQUEST', what));
      return false;
    },
    onFull: () => transport.pause(),
    onEmpty() {
      if (!isCongested && state !== 'greeting') transport.resume();
    },
  });

  const listener: TransportListener = {
    message: (text) => inbox.put({ text }),
    malformed: (reason) => inbox.put({ malformed: reason }),
    drained() {
      if (state !== 'open' || session === undefined) return;
      if (isCongested && transport.bufferedBytes() * 2 < limits.maxUnsentBytes) {
        isCongested = false;
        slowness?.cancel();
        if (!inbox.isWaiting()) transport.resume();
      }
      schedulePump();
    },
    closed: over,
  };
  return {
    open: () => transport.open(listener),
    close: (code, reason) => link.cut(undefined, code, reason),
  };
}

function requireHello(message: ClientMessage): SessionHello {
  if (message.type === 'hello') return message.hello;
  throw new ArcpError(
    'UNAUTHENTICATED',
    `Cannot take "${message.type}" before the welcome: expected session.hello`,
  );
}

function requireSession(envelope: Envelope, session: Session): void {
  if (envelope.session_id === undefined || envelope.session_id === session.id) return;
  throw new ArcpError('INVALID_REQUEST', 'Cannot read message: its session_id is not this session', {
    details: { request_id: envelope.id },
  });
}

function isIdle(session: Session): boolean {
  return session.jobs.size === 0 && session.subscriptions.size === 0;
}

const PAGE_EVENTS = 256;
const MAX_EARLY = 1_024;
