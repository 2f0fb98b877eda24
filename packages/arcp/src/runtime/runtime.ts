/**
 * The runtime: transports in, jobs out. Invariant: after `stop` no timer, no agent's report and no connection of it is
 * left, and the store holds exactly what peers have seen.
 */
import { ArcpError } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import { CLOSE_CODES, type Transport } from '../transport.ts';
import type { Core } from './core.ts';
import { handlesOf, issueCredentials, revokeHandle } from './credentials.ts';
import { serveConnection, type Connection } from './connection.ts';
import { publish } from './job-life.ts';
import { createLedger } from './ledger.ts';
import { createUnreadPace } from './unread-pace.ts';
import { resolveOptions, type RuntimeOptions } from './options.ts';
import { recover } from './recovery.ts';
import { answer } from './requests.ts';
import { detachSession, greet, startSweep } from './sessions.ts';

/** What a runtime is doing. */
export interface RuntimeStats {
  /** Connections, open or not yet. */
  readonly connections: number;
  /** Sessions, connected or lost. */
  readonly sessions: number;
  /** Unfinished jobs. */
  readonly jobs: number;
  /** Payload characters of buffered events. */
  readonly bufferedBytes: number;
}

/** A running runtime. */
export interface Runtime {
  /**
   * Serves a connection until it ends.
   *
   * @param transport - not yet opened
   */
  serve(transport: Transport): void;
  /**
   * Gives a live job a new secret for one of its keys: the client is told with a `credential_rotated` status, the old
   * secret is taken back.
   *
   * @throws ArcpError with code JOB_NOT_FOUND when the job is not live or has no such key, INTERNAL_ERROR when the provider refuses
   */
  rotateCredential(jobId: string, credentialId: string): Promise<void>;
  /** What is going on now. */
  stats(): RuntimeStats;
  /**
   * Ends every connection with a reason, aborts what agents run here, and leaves the jobs unfinished in the store: the
   * next runtime adopts or closes them. Idempotent. The store stays open.
   */
  stop(): Promise<void>;
}

/**
 * Starts a runtime on what its store holds: jobs of an earlier process go on or get their terminal message at once.
 *
 * @param options - at least a host and an authenticator
 * @throws RangeError when an option is out of range, and ArcpError with code store-unreadable when the store cannot be continued
 */
export function startRuntime(options: RuntimeOptions): Runtime {
  const settings = resolveOptions(options);
  const connections = new Set<Connection>();
  const greeting = new Set<Connection>();
  const closeAll = (code: number, reason: string): void => {
    for (const connection of connections) connection.close(code, reason);
  };
  const onFailure = (error: unknown): void => {
    settings.logger.error({ err: error }, 'store failed');
    closeAll(CLOSE_CODES.internal, 'the store failed');
    for (const job of core.jobsById.values()) {
      job.abort.abort(new ArcpError('closed', 'Cannot go on: the store failed'));
    }
    settings.onFailure(error);
  };
  const core: Core = {
    settings,
    ledger: createLedger(settings.store, onFailure),
    unreadPace: createUnreadPace(settings.clock),
    sessionsById: new Map(),
    jobsById: new Map(),
    jobsByKey: new Map(),
    reservedKeys: new Set(),
    accounts: new Map(),
    credentials: new Map(),
    revoking: new Set(),
    isStopping: false,
  };
  recover(core);
  core.ledger.flush();
  const sweep = startSweep(core);

  return {
    serve(transport) {
      if (core.isStopping || core.ledger.hasFailed() || greeting.size >= settings.limits.maxUnauthenticated) {
        refuseTransport(transport, core.isStopping ? 'the runtime is stopping' : 'too many connections');
        return;
      }
      const connection = serveConnection(core, transport, {
        async hello(link, hello) {
          const session = await greet(core, link, hello);
          greeting.delete(connection);
          return session;
        },
        message: (session, envelope, message) => answer(core, session, envelope, message),
        closed(session, link) {
          connections.delete(connection);
          greeting.delete(connection);
          if (session !== undefined) detachSession(core, session, link);
        },
      });
      connections.add(connection);
      greeting.add(connection);
      connection.open();
    },
    rotateCredential: async (jobId, credentialId) => rotateCredential(core, jobId, credentialId),
    stats() {
      let bufferedBytes = 0;
      for (const account of core.accounts.values()) bufferedBytes += account.bufferedBytes;
      return {
        connections: connections.size,
        sessions: core.sessionsById.size,
        jobs: core.jobsById.size,
        bufferedBytes,
      };
    },
    async stop() {
      if (core.isStopping) return;
      core.ledger.flush();
      core.isStopping = true;
      sweep.stop();
      closeAll(CLOSE_CODES.goingAway, 'the runtime is stopping');
      for (const job of core.jobsById.values()) {
        job.timeLimit?.cancel();
        job.watchdog?.cancel();
        job.abort.abort(new ArcpError('closed', 'Cannot go on: the runtime is stopping'));
      }
      core.ledger.flush();
      // One turn, so that agents see the signal before the caller goes on.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    },
  };
}

async function rotateCredential(core: Core, jobId: string, credentialId: string): Promise<void> {
  const job = core.jobsById.get(jobId);
  const old = handlesOf(core, jobId, credentialId);
  if (job === undefined || old.length === 0) {
    throw new ArcpError(
      'JOB_NOT_FOUND',
      `Cannot rotate credential "${credentialId}": no live job "${jobId}" has it`,
    );
  }
  const subject = {
    jobId,
    principal: job.principal,
    lease: job.lease.lease,
    expiresAtMs: job.expiresAtMs,
    budget: job.budget.remaining(),
  };
  const [renewed] = await issueCredentials(core, subject, [credentialId]);
  if (renewed === undefined || isFinal(job.status)) {
    // It ended meanwhile; its keys were taken back, but this one may have been issued after that.
    for (const handle of handlesOf(core, jobId, credentialId)) revokeHandle(core, handle);
    return;
  }
  job.credentials = job.credentials.map((known) => (known.id === credentialId ? renewed : known));
  const ts = new Date(core.settings.clock.nowMs()).toISOString();
  const body = { phase: 'credential_rotated', id: credentialId, value: renewed.value };
  publish(core, job, 'job.event', JSON.stringify({ kind: 'status', ts, body }), 'status');
  for (const handle of old) revokeHandle(core, handle);
}

function refuseTransport(transport: Transport, reason: string): void {
  transport.open({
    message: () => undefined,
    malformed: () => undefined,
    drained: () => undefined,
    closed: () => undefined,
  });
  transport.close({ code: CLOSE_CODES.tryAgainLater, reason });
}
