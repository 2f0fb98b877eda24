/**
 * A client whose session outlives its connections. Invariant: every event reaches its job exactly once and in order,
 * however often the connection breaks; when that cannot be kept, everything that waits is told.
 */
import { createRealClock, type Timer } from '@conductor-run/clock';
import { createDeferred } from '../deferred.ts';
import { ArcpError, payloadToError, type ArcpErrorPayload } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import { silentLogger } from '../logger.ts';
import type { RuntimeMessage } from '../runtime-messages.ts';
import { createTraceId } from '../trace-context.ts';
import { FEATURES, type Envelope, type JobSubscribed, type SessionWelcome } from '../wire.ts';
import { submitPayload, type ArcpClient, type ClientJob, type ClientOptions } from './options.ts';
import { createRequests } from './requests.ts';
import { createJobTable } from './job-table.ts';
import type { WatchedJob } from './watched-job.ts';
import { openWire, type Wire } from './wire-connection.ts';

/**
 * Connects, and waits for the welcome. From then on it reconnects by itself.
 *
 * @param options - how to connect, and as whom
 * @throws ArcpError with the code of the refusal, or connection-lost when nobody answered
 */
export async function connectClient(options: ClientOptions): Promise<ArcpClient> {
  const session = createSession(options);
  await session.ready;
  return session.client;
}

function createSession(options: ClientOptions): {
  readonly client: ArcpClient;
  readonly ready: Promise<void>;
} {
  const { clock = createRealClock(), logger = silentLogger, maxReconnects = 10 } = options;
  const { maxQueuedEvents = 100_000, maxResultBytes = 64 * 1_024 * 1_024 } = options;
  const ready = createDeferred<void>();
  const requests = createRequests();
  const isSubmitting = (): boolean => requests.submits.size > 0;
  const jobs = createJobTable({ maxQueuedEvents, maxResultBytes, isSubmitting });
  const closing = createDeferred<void>();
  let ticket = options.resume;
  let welcome: SessionWelcome | undefined;
  let wire: Wire | undefined;
  let state: 'connecting' | 'open' | 'closing' | 'over' = 'connecting';
  let generation = 0;
  let failures = 0;
  let lastSeq = options.resume?.lastEventSeq ?? 0;
  let ackedSeq = lastSeq;
  let ackTimer: Timer | undefined;
  let retryTimer: Timer | undefined;

  const has = (feature: string): boolean => welcome?.capabilities.features?.includes(feature) === true;
  const hello = (): object => ({
    client: { name: options.name ?? 'conductor-arcp-client', version: options.version ?? '1.1.0' },
    auth: { scheme: 'bearer', token: options.token },
    capabilities: { encodings: ['json'], features: options.features ?? FEATURES },
    ...(ticket === undefined
      ? {}
      : {
          resume: { session_id: ticket.sessionId, resume_token: ticket.resumeToken, last_event_seq: lastSeq },
        }),
  });
  const connect = (): void => {
    state = 'connecting';
    retryTimer = undefined;
    const { welcomeTimeoutMs = 10_000 } = options;
    // Only the latest connection speaks for the session.
    generation += 1;
    const mine = generation;
    const isCurrent = (): boolean => mine === generation;
    wire = openWire(
      { transport: options.connect(), hello: hello(), welcomeTimeoutMs, clock, logger },
      {
        welcome: onWelcome,
        message: (envelope, message) => {
          if (isCurrent()) onMessage(envelope, message);
        },
        over: (error) => {
          if (isCurrent()) onOver(error);
        },
      },
    );
  };
  const onWelcome = (sessionId: string, answer: SessionWelcome): void => {
    failures = 0;
    welcome = answer;
    state = 'open';
    ticket = { sessionId, resumeToken: answer.resume_token, lastEventSeq: lastSeq };
    options.onTicket?.(ticket);
    // Says at once that the new token arrived, and repeats what was never answered.
    if (has('ack')) wire?.send('session.ack', { last_processed_seq: lastSeq });
    for (const [id, { options: again, traceId }] of requests.submits) {
      wire?.send('job.submit', submitPayload(again), { id, traceId });
    }
    ready.resolve();
  };
  const onOver = (error: ArcpError | undefined): void => {
    generation += 1;
    wire = undefined;
    ackTimer?.cancel();
    ackTimer = undefined;
    const lost = error ?? new ArcpError('connection-lost', 'Cannot go on: the connection is lost');
    if (state === 'closing' || state === 'over') {
      giveUp(new ArcpError('closed', 'Cannot go on: the client was closed'));
      return;
    }
    // Only what is safe to repeat is kept for the next connection.
    requests.rejectUnrepeatable(
      new ArcpError('connection-lost', 'The connection broke before an answer came', { cause: lost }),
    );
    const isHopeless = error !== undefined && FINAL_CODES.has(error.code);
    if (isHopeless || failures >= maxReconnects || (welcome === undefined && options.resume === undefined)) {
      giveUp(lost);
      return;
    }
    state = 'connecting';
    const { reconnectDelayMs = 200, maxReconnectDelayMs = 10_000, random = secureRandom } = options;
    const delayMs = Math.min(maxReconnectDelayMs, reconnectDelayMs * 2 ** failures);
    failures += 1;
    retryTimer = clock.setTimer(delayMs * (1 - random() / 2), connect);
  };
  const giveUp = (error: ArcpError): void => {
    state = 'over';
    ready.reject(error);
    requests.rejectAll(error);
    jobs.loseAll(error);
    closing.resolve();
  };
  const onMessage = (envelope: Envelope, message: RuntimeMessage): void => {
    const seq = envelope.event_seq;
    if (seq !== undefined) {
      if (seq <= lastSeq) return;
      if (seq !== lastSeq + 1) {
        // The draft: treat the session as broken and resume. What was missed comes again.
        logger.warn({ expected: lastSeq + 1, got: seq }, 'gap in the events');
        wire?.close();
        return;
      }
      lastSeq = seq;
      scheduleAck();
    }
    route(envelope, message);
  };
  const route = (envelope: Envelope, message: RuntimeMessage): void => {
    const isOfJob = envelope.job_id !== undefined && JOB_MESSAGES.has(message.type);
    const job = isOfJob ? jobs.find(envelope.job_id) : undefined;
    switch (message.type) {
      case 'job.accepted':
        requests
          .takeSubmit(envelope.trace_id ?? message.payload.trace_id)
          ?.resolve({ accepted: message.payload, job: jobs.watch(message.payload.job_id) });
        jobs.noteAnswer();
        return;
      case 'job.event':
        job?.onEvent({ ...message.payload, eventSeq: envelope.event_seq ?? 0 });
        return;
      case 'job.result':
        job?.onResult(message.payload);
        jobs.forget(envelope.job_id);
        return;
      case 'job.error':
        // A refusal stands in no stream.
        if (job === undefined || envelope.event_seq === undefined)
          onSubmitRefused(message.payload, envelope.trace_id);
        job?.onError(message.payload);
        jobs.forget(envelope.job_id);
        return;
      case 'job.subscribed':
        onSubscribed(message.payload);
        return;
      case 'session.jobs':
        requests.takeList(message.payload.request_id)?.resolve(message.payload);
        return;
      case 'session.error':
        onRefused(message.payload);
        return;
      case 'session.closed':
        wire?.close();
        return;
      case 'job.cancelled':
      case 'session.welcome':
      case 'session.ping':
      case 'session.pong':
      case 'unknown':
    }
  };
  const onSubscribed = (subscribed: JobSubscribed): void => {
    const answer = requests.takeSubscribe(subscribed.job_id);
    if (answer === undefined) return;
    // Watched before anything else is read: its first event may be the next message.
    const job = jobs.watch(subscribed.job_id);
    if (isFinal(subscribed.current_status) && !subscribed.replayed) {
      job.onLost(new ArcpError('closed', 'Cannot know the end: the job ended before it was watched'));
      jobs.forget(subscribed.job_id);
    }
    answer.resolve({ subscribed, job });
  };
  const onRefused = (payload: ArcpErrorPayload): void => {
    const error = payloadToError(payload);
    if (!requests.refuse(payload.details?.['request_id'], error)) {
      logger.warn({ err: error }, 'the runtime reported an error');
    }
  };
  /** A runtime that names no request answers under the submit's trace, or under none and then in order. */
  const onSubmitRefused = (payload: ArcpErrorPayload, traceId: string | undefined): void => {
    const error = payloadToError(payload);
    if (requests.refuse(payload.details?.['request_id'], error)) return;
    requests.takeSubmit(traceId)?.reject(error);
  };
  const scheduleAck = (): void => {
    if (ackTimer !== undefined || !has('ack')) return;
    const send = (): void => {
      ackTimer = undefined;
      if (lastSeq === ackedSeq) return;
      ackedSeq = lastSeq;
      wire?.send('session.ack', { last_processed_seq: lastSeq });
    };
    ackTimer = clock.setTimer(options.ackIntervalMs ?? 250, send, { keepAlive: false });
  };
  /** Asks for everything a job has said; where that cannot be had, its end is not waited for. */
  const catchUp = (jobId: string, job: WatchedJob): void => {
    if (job.isOver() || state !== 'open' || !has('subscribe')) return;
    const { id, answer } = requests.addSubscribe(jobId);
    answer.promise.catch((error: unknown) => {
      jobs.forget(jobId);
      job.onLost(error instanceof ArcpError ? error : new ArcpError('closed', String(error)));
    });
    wire?.send('job.subscribe', { job_id: jobId, history: true }, { id });
  };
  const requireOpen = (): void => {
    if (state === 'closing' || state === 'over') {
      throw new ArcpError('closed', 'Cannot use client: it is closed, expected an open one');
    }
  };
  const requireConnected = (): void => {
    requireOpen();
    if (state === 'open') return;
    throw new ArcpError('connection-lost', 'Cannot ask the runtime: the connection is being mended');
  };

  const client: ArcpClient = {
    get sessionId() {
      return ticket?.sessionId ?? '';
    },
    welcome() {
      if (welcome === undefined) throw new ArcpError('closed', 'Cannot show the welcome: none came yet');
      return welcome;
    },
    ticket: () => ({
      sessionId: ticket?.sessionId ?? '',
      resumeToken: ticket?.resumeToken ?? '',
      lastEventSeq: lastSeq,
    }),
    async submit(submit) {
      requireOpen();
      const traceId = submit.traceId ?? createTraceId();
      const { id, answer } = requests.addSubmit(traceId, submit);
      if (state === 'open') wire?.send('job.submit', submitPayload(submit), { id, traceId });
      const { accepted, job } = await answer.promise;
      // Another trace than ours: the key stands for a job of an earlier submit, whose stream may be another session's.
      if (accepted.trace_id !== undefined && accepted.trace_id !== traceId) catchUp(accepted.job_id, job);
      return {
        jobId: accepted.job_id,
        accepted,
        ...observable(job),
        cancel(reason) {
          const why = reason === undefined ? {} : { reason };
          // Where the draft wants the job is not said; runtimes look in one place or the other.
          wire?.send('job.cancel', { job_id: accepted.job_id, ...why }, { jobId: accepted.job_id });
        },
      };
    },
    async subscribe(jobId, { history = false, fromEventSeq } = {}) {
      requireConnected();
      const { id, answer } = requests.addSubscribe(jobId);
      const from = fromEventSeq === undefined ? {} : { from_event_seq: fromEventSeq };
      wire?.send('job.subscribe', { job_id: jobId, history, ...from }, { id });
      const { subscribed, job } = await answer.promise;
      return {
        jobId,
        subscribed,
        ...observable(job),
        unsubscribe() {
          wire?.send('job.unsubscribe', { job_id: jobId });
          jobs.forget(jobId);
          job.onLost(new ArcpError('closed', 'Cannot know the end: the job is no longer watched'));
        },
      };
    },
    async listJobs(request = {}) {
      requireConnected();
      const { id, answer } = requests.addList();
      wire?.send('session.list_jobs', request, { id });
      return answer.promise;
    },
    async close() {
      if (state === 'over') return;
      const wasOpen = state === 'open';
      state = 'closing';
      retryTimer?.cancel();
      if (wasOpen) wire?.send('session.close', {});
      else if (wire === undefined) onOver(undefined);
      else wire.close();
      await closing.promise;
    },
  };
  connect();
  return { client, ready: ready.promise };
}

function observable(job: WatchedJob): Pick<ClientJob, 'events' | 'end' | 'droppedEvents'> {
  return { events: job.queue.events, end: job.end, droppedEvents: () => job.queue.dropped() };
}

function secureRandom(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** Refusals that no reconnect mends. */
/** What a job's stream is made of. */
const JOB_MESSAGES: ReadonlySet<string> = new Set(['job.event', 'job.result', 'job.error']);
const FINAL_CODES: ReadonlySet<string> = new Set([
  'UNAUTHENTICATED',
  'RESUME_WINDOW_EXPIRED',
  'INVALID_REQUEST',
]);
