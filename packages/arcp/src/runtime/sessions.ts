/**
 * Opening, resuming and forgetting sessions (sections 6.1 to 6.3). Invariant: a session is only ever handed to the
 * principal it belongs to, and who asks for another's learns no more than who asks for none.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Timer } from '@conductor-run/clock';
import { ArcpError } from '../errors.ts';
import { CLOSE_CODES } from '../transport.ts';
import type { ResumeRequest, SessionHello, SessionWelcome } from '../wire.ts';
import { accountOf, releaseAccount, type Core, type Link, type Session } from './core.ts';
import type { StoredSession } from './event-store.ts';
import { sha256 } from './ports.ts';
import { evictAged, releaseWaiting, restoreSegments, sessionToStored } from './stream.ts';

/**
 * Answers a hello: authenticates, opens or resumes, sends the welcome.
 *
 * @throws ArcpError with code UNAUTHENTICATED, RESUME_WINDOW_EXPIRED or INTERNAL_ERROR (too many sessions)
 */
export async function greet(core: Core, link: Link, hello: SessionHello): Promise<Session> {
  const principal = await authenticate(core, hello);
  const features = new Set(hello.features.filter((feature) => core.settings.features.has(feature)));
  const session =
    hello.resume === undefined
      ? openSession(core, principal, features)
      : resumeSession(core, principal, hello.resume);
  session.features = features;
  const replaced = session.link;
  link.cursor = hello.resume?.last_event_seq ?? 0;
  session.link = link;
  session.detachedAtMs = undefined;
  session.isClosed = false;
  // A half-open connection must not keep the session from its owner.
  replaced?.cut(undefined, CLOSE_CODES.goingAway, 'session was resumed elsewhere');
  const token = randomBytes(32).toString('base64url');
  // What the client holds stays good until it shows that it got the next one: any number of welcomes may be lost.
  session.previousTokenHash =
    hello.resume === undefined ? undefined : sha256(hello.resume.resume_token).toString('hex');
  session.tokenHash = sha256(token).toString('hex');
  core.ledger.touchSession(session);
  const welcome = welcomeOf(core, session, token);
  link.reply('session.welcome', welcome, { sessionId: session.id });
  core.settings.logger.info(
    { sessionId: session.id, principal, isResumed: hello.resume !== undefined },
    'session.opened',
  );
  return session;
}

/** The connection is gone; the session stays for the resume window. */
export function detachSession(core: Core, session: Session, link: Link): void {
  if (session.link !== link) return;
  session.link = undefined;
  session.detachedAtMs = core.settings.clock.nowMs();
  core.ledger.touchSession(session);
  releaseWaiting(core, session);
}

/** The client has shown that it received its welcome, so the token before it is dead. */
export function confirmToken(core: Core, session: Session): void {
  if (session.previousTokenHash === undefined) return;
  session.previousTokenHash = undefined;
  core.ledger.touchSession(session);
}

/** Takes up a stored session, without a connection. */
export function restoreSession(core: Core, stored: StoredSession, bufferedBytes: number): Session {
  const session = createSession(core, {
    ...stored,
    detachedAtMs: stored.detachedAtMs ?? core.settings.clock.nowMs(),
  });
  restoreSegments(core, session, bufferedBytes);
  return session;
}

/** Forgets what is over: sessions past their window, events nobody can ask for, finished jobs. */
export function startSweep(core: Core): { stop(): void } {
  const { clock, resumeWindowSec, jobRetentionMs, keyRetentionMs, store, logger } = core.settings;
  let timer: Timer | undefined;
  const sweep = (): void => {
    if (core.ledger.hasFailed()) return;
    for (const session of core.sessionsById.values()) {
      if (isExpired(core, session)) removeSession(core, session);
      else evictAged(core, session);
    }
    try {
      const nowMs = clock.nowMs();
      while (store.pruneJobs(nowMs - jobRetentionMs, nowMs - keyRetentionMs) === PRUNE_PAGE);
    } catch (error) {
      logger.error({ err: error }, 'jobs could not be pruned');
    }
    arm();
  };
  const arm = (): void => {
    timer = clock.setTimer(Math.min(MAX_SWEEP_MS, resumeWindowSec * 250), sweep, { keepAlive: false });
  };
  arm();
  return { stop: () => timer?.cancel() };
}

async function authenticate(core: Core, hello: SessionHello): Promise<string> {
  let principal: string | undefined;
  try {
    principal = await core.settings.authenticator.authenticate(hello.auth);
  } catch (error) {
    core.settings.logger.error({ err: error }, 'authenticator failed');
  }
  if (principal !== undefined && !core.isStopping) return principal;
  throw new ArcpError('UNAUTHENTICATED', 'Cannot open session: the credential is missing or not known');
}

function openSession(core: Core, principal: string, features: ReadonlySet<string>): Session {
  const account = accountOf(core, principal);
  if (account.sessions.size >= core.settings.limits.maxSessionsPerPrincipal) {
    makeRoom(core, account.sessions);
  }
  const session = createSession(core, {
    sessionId: `sess_${randomUUID()}`,
    principal,
    features: [...features],
    tokenHash: '',
    previousTokenHash: undefined,
    lastSeq: 0,
    evictedSeq: 0,
    ackedSeq: 0,
    createdAtMs: core.settings.clock.nowMs(),
    detachedAtMs: undefined,
    isClosed: false,
    subscriptions: [],
  });
  return session;
}

/** Drops the principal's longest lost session that has no work, or refuses. */
function makeRoom(core: Core, sessions: ReadonlySet<Session>): void {
  let oldest: Session | undefined;
  for (const session of sessions) {
    if (session.detachedAtMs === undefined || session.jobs.size > 0) continue;
    if (oldest?.detachedAtMs === undefined || session.detachedAtMs < oldest.detachedAtMs) oldest = session;
  }
  if (oldest === undefined) {
    throw new ArcpError(
      'INTERNAL_ERROR',
      `Cannot open session: the principal has ${sessions.size}, expected fewer`,
      { details: { reason: 'session-limit' } },
    );
  }
  removeSession(core, oldest);
}

/** One answer for: no such session, another principal's, a wrong token, a position that is not kept. */
function resumeSession(core: Core, principal: string, resume: ResumeRequest): Session {
  const session = core.sessionsById.get(resume.session_id);
  const isTheirs = session?.principal === principal && hasToken(session, resume.resume_token);
  const seq = resume.last_event_seq;
  if (
    session === undefined ||
    !isTheirs ||
    isExpired(core, session) ||
    seq < session.evictedSeq ||
    seq > session.lastSeq
  ) {
    throw new ArcpError(
      'RESUME_WINDOW_EXPIRED',
      'Cannot resume session: it is not kept from that position on, expected a new session.hello',
    );
  }
  return session;
}

function hasToken(session: Session, token: string): boolean {
  const digest = sha256(token);
  const matches = (hash: string | undefined): boolean =>
    hash !== undefined && hash !== '' && timingSafeEqual(Buffer.from(hash, 'hex'), digest);
  return matches(session.tokenHash) || matches(session.previousTokenHash);
}

/** Past its window, with no work left, and nothing kept that the client has not acknowledged. */
function isExpired(core: Core, session: Session): boolean {
  if (session.detachedAtMs === undefined || session.jobs.size > 0) return false;
  if (core.settings.clock.nowMs() - session.detachedAtMs < core.settings.resumeWindowSec * 1_000)
    return false;
  return !session.features.has('ack') || session.ackedSeq >= session.lastSeq;
}

function removeSession(core: Core, session: Session): void {
  const account = accountOf(core, session.principal);
  account.sessions.delete(session);
  account.bufferedBytes -= session.bufferedBytes;
  core.sessionsById.delete(session.id);
  for (const subscription of session.subscriptions.values()) {
    core.jobsById.get(subscription.jobId)?.observers.delete(subscription);
  }
  core.ledger.removeSession(session, session.id);
  releaseAccount(core, session.principal);
  core.settings.logger.info({ sessionId: session.id, principal: session.principal }, 'session.expired');
}

function createSession(core: Core, stored: StoredSession): Session {
  const session: Session = {
    id: stored.sessionId,
    principal: stored.principal,
    createdAtMs: stored.createdAtMs,
    features: new Set(stored.features),
    tokenHash: stored.tokenHash,
    previousTokenHash: stored.previousTokenHash,
    lastSeq: stored.lastSeq,
    evictedSeq: stored.evictedSeq,
    ackedSeq: stored.ackedSeq,
    detachedAtMs: stored.detachedAtMs,
    isClosed: stored.isClosed,
    link: undefined,
    jobs: new Set(),
    subscriptions: new Map(),
    segments: [],
    bufferedBytes: 0,
    bufferedEvents: 0,
    isPressured: false,
    waiting: [],
    toStored: () => sessionToStored(session),
  };
  core.sessionsById.set(session.id, session);
  accountOf(core, session.principal).sessions.add(session);
  return session;
}

function welcomeOf(core: Core, session: Session, token: string): SessionWelcome {
  const { name, version, resumeWindowSec, heartbeatIntervalSec, host } = core.settings;
  return {
    runtime: { name, version },
    resume_token: token,
    resume_window_sec: resumeWindowSec,
    ...(session.features.has('heartbeat') ? { heartbeat_interval_sec: heartbeatIntervalSec } : {}),
    capabilities: {
      encodings: ['json'],
      features: [...session.features],
      agents: host.inventory(),
    },
  };
}

const PRUNE_PAGE = 1_000;
const MAX_SWEEP_MS = 30_000;
