/**
 * A session's stream of events: numbering, delivery, eviction, back-pressure. Invariant: `event_seq` is strictly
 * monotone and gap-free, whether or not anybody is connected; bytes and events are bounded whatever the client does.
 */
import { CLOSE_CODES } from '../transport.ts';
import { formatFrame } from '../frame.ts';
import { accountOf, type Core, type Job, type NewEvent, type Segment, type Session } from './core.ts';
import type { StoredEvent, StoredSession } from './event-store.ts';

/** Appends an event and gives it the next number. It leaves after the commit. */
export function appendEvent(core: Core, session: Session, event: NewEvent): number {
  const { link } = session;
  const isLive = link?.isLive() === true;
  session.lastSeq += 1;
  const stored: StoredEvent = { ...event, sessionId: session.id, seq: session.lastSeq };
  account(core, session, event.payloadJson.length);
  if (link !== undefined) {
    if (isLive) {
      link.cursor = stored.seq;
      link.push(eventFrame(stored));
    }
    core.ledger.notify(link);
  }
  core.ledger.touchSession(session);
  core.ledger.addEvent(stored);
  enforceLimits(core, session);
  return stored.seq;
}

/** The message an event travels in; the same on every replay. */
export function eventFrame(event: StoredEvent): string {
  return formatFrame({
    id: `e${event.seq}`,
    type: event.type,
    sessionId: event.sessionId,
    traceId: event.traceId,
    jobId: event.jobId,
    eventSeq: event.seq,
    payloadJson: event.payloadJson,
  });
}

/** How far the client is behind: by its acknowledgements once it sends any, else by what its connection took. */
export function lagOf(session: Session): number {
  if (session.ackedSeq > 0) return session.lastSeq - session.ackedSeq;
  return session.link === undefined ? 0 : session.lastSeq - session.link.cursor;
}

/** Notes what the client processed, and frees it when the stream has grown. */
export function acknowledge(core: Core, session: Session, seq: number): void {
  if (seq <= session.ackedSeq) return;
  session.ackedSeq = Math.min(seq, session.lastSeq);
  core.ledger.touchSession(session);
  const { maxBufferedBytes, maxBufferedEvents } = core.settings.limits;
  if (
    session.bufferedBytes * EARLY_SHARE > maxBufferedBytes ||
    session.bufferedEvents * EARLY_SHARE > maxBufferedEvents
  ) {
    evictWhile(core, session, (segment) => segment.upToSeq <= session.ackedSeq);
  }
  if (session.isPressured && lagOf(session) * 2 < core.settings.backPressureEvents)
    session.isPressured = false;
  releaseWaiting(core, session);
}

/** Frees what is older than the resume window: what was acknowledged or, without the feature, what was delivered. */
export function evictAged(core: Core, session: Session): void {
  const oldestMs = core.settings.clock.monotonicMs() - core.settings.resumeWindowSec * 1_000;
  const keptFrom = session.features.has('ack') ? session.ackedSeq : (session.link?.cursor ?? 0);
  evictWhile(core, session, (segment) => segment.upToSeq <= keptFrom && segment.atMs < oldestMs);
}

/** Whether agents of this session should wait: its reader is connected, but half of the room is taken by what it has not got. */
export function isCrowded(core: Core, session: Session): boolean {
  const { link } = session;
  if (link === undefined) return false;
  const { maxBufferedBytes, maxBufferedEvents } = core.settings.limits;
  const behind = session.lastSeq - link.cursor;
  return behind * 2 > maxBufferedEvents || (behind > 0 && session.bufferedBytes * 2 > maxBufferedBytes);
}

/** Lets waiting agents go on when there is room, or nobody to wait for. */
export function releaseWaiting(core: Core, session: Session): void {
  if (session.waiting.length === 0 || isCrowded(core, session)) return;
  for (const resolve of session.waiting.splice(0)) resolve();
}

/** Tells the client, in its stream, that it is behind. Once, until it has caught up. */
export function signalPressure(core: Core, session: Session, job: Job): void {
  if (session.isPressured) return;
  session.isPressured = true;
  const lag = session.lastSeq - Math.max(session.ackedSeq, session.link?.cursor ?? 0);
  const body = { phase: 'back_pressure', message: `consumer lag ${lag} events` };
  const ts = new Date(core.settings.clock.nowMs()).toISOString();
  job.lastEventSeq = appendEvent(core, session, {
    jobId: job.id,
    type: 'job.event',
    traceId: job.traceId,
    payloadJson: JSON.stringify({ kind: 'status', ts, body }),
  });
}

/** Begins the books of a restored stream: its size is known, its parts are not. */
export function restoreSegments(core: Core, session: Session, bufferedBytes: number): void {
  const count = session.lastSeq - session.evictedSeq;
  session.bufferedBytes = bufferedBytes;
  session.bufferedEvents = count;
  accountOf(core, session.principal).bufferedBytes += bufferedBytes;
  const atMs = core.settings.clock.monotonicMs();
  // Sizes of single events are not known here; the average serves eviction just as well.
  for (let seq = session.evictedSeq; seq < session.lastSeq;) {
    const part = Math.min(SEGMENT_EVENTS, session.lastSeq - seq);
    seq += part;
    session.segments.push({ upToSeq: seq, count: part, bytes: (bufferedBytes * part) / count, atMs });
  }
}

/** The stored form of a session, taken when the turn ends. */
export function sessionToStored(session: Session): StoredSession {
  return {
    sessionId: session.id,
    principal: session.principal,
    features: [...session.features],
    tokenHash: session.tokenHash,
    previousTokenHash: session.previousTokenHash,
    lastSeq: session.lastSeq,
    evictedSeq: session.evictedSeq,
    ackedSeq: session.ackedSeq,
    createdAtMs: session.createdAtMs,
    detachedAtMs: session.detachedAtMs,
    isClosed: session.isClosed,
    subscriptions: Array.from(session.subscriptions.values(), ({ jobId, copiedSeq }) => ({
      jobId,
      copiedSeq,
    })),
  };
}

function account(core: Core, session: Session, bytes: number): void {
  const atMs = core.settings.clock.monotonicMs();
  session.bufferedBytes += bytes;
  session.bufferedEvents += 1;
  accountOf(core, session.principal).bufferedBytes += bytes;
  const last = session.segments.at(-1);
  if (last === undefined || last.count >= SEGMENT_EVENTS || last.bytes >= SEGMENT_BYTES) {
    session.segments.push({ upToSeq: session.lastSeq, count: 1, bytes, atMs });
    return;
  }
  last.upToSeq = session.lastSeq;
  last.count += 1;
  last.bytes += bytes;
  last.atMs = atMs;
}

function enforceLimits(core: Core, session: Session): void {
  const { maxBufferedBytes, maxBufferedEvents, maxBufferedBytesPerPrincipal } = core.settings.limits;
  const total = accountOf(core, session.principal);
  evictWhile(
    core,
    session,
    () =>
      session.bufferedBytes > maxBufferedBytes ||
      session.bufferedEvents > maxBufferedEvents ||
      total.bufferedBytes > maxBufferedBytesPerPrincipal,
  );
}

function evictWhile(core: Core, session: Session, isOver: (segment: Segment) => boolean): void {
  const before = session.evictedSeq;
  for (let first = session.segments[0]; first !== undefined && isOver(first); first = session.segments[0]) {
    session.segments.shift();
    session.evictedSeq = first.upToSeq;
    session.bufferedBytes -= first.bytes;
    session.bufferedEvents -= first.count;
    accountOf(core, session.principal).bufferedBytes -= first.bytes;
  }
  if (session.evictedSeq === before) return;
  core.ledger.touchSession(session);
  // What the connection has not got yet is gone: it would see a gap, so it ends instead.
  if (session.link !== undefined && session.link.cursor < session.evictedSeq) {
    session.link.cut(undefined, CLOSE_CODES.tryAgainLater, 'events were lost to the buffer limit');
  }
}

const SEGMENT_EVENTS = 256;
const SEGMENT_BYTES = 256 * 1_024;
/** Acknowledged events are freed at once when the stream takes more than this fraction of its room. */
const EARLY_SHARE = 8;
