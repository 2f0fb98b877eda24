/** What a client has asked and waits for. Invariant: every question is answered or rejected exactly once. */
import { createDeferred, type Deferred } from '../deferred.ts';
import type { ArcpError } from '../errors.ts';
import type { JobAccepted, JobSubscribed, SessionJobs } from '../wire.ts';
import type { SubmitOptions } from './options.ts';
import type { WatchedJob } from './watched-job.ts';

/** A submit without an answer. */
export interface PendingSubmit {
  /** What its answer is recognised by. */
  readonly traceId: string;
  readonly options: SubmitOptions;
  readonly answer: Deferred<{ readonly accepted: JobAccepted; readonly job: WatchedJob }>;
}

/** A subscribe's answer. */
export interface SubscribeAnswer {
  readonly subscribed: JobSubscribed;
  readonly job: WatchedJob;
}

/** A question and the id it travels under. */
export interface Asked<T> {
  readonly id: string;
  readonly answer: Deferred<T>;
}

/** The questions. */
export interface Requests {
  /** By id; repeated on a new connection. */
  readonly submits: ReadonlyMap<string, PendingSubmit>;
  addSubmit(
    traceId: string,
    options: SubmitOptions,
  ): Asked<{ readonly accepted: JobAccepted; readonly job: WatchedJob }>;
  addSubscribe(jobId: string): Asked<SubscribeAnswer>;
  addList(): Asked<SessionJobs>;
  /** The submit of a trace; without one the oldest. */
  takeSubmit(traceId: string | undefined): PendingSubmit['answer'] | undefined;
  takeSubscribe(jobId: string): Deferred<SubscribeAnswer> | undefined;
  takeList(id: string): Deferred<SessionJobs> | undefined;
  /** Rejects one by its id; false when there is none. */
  refuse(id: unknown, error: ArcpError): boolean;
  /** Rejects what must not be sent again: all but submits with a key. */
  rejectUnrepeatable(error: ArcpError): void;
  /** Rejects everything. */
  rejectAll(error: ArcpError): void;
}

/** Makes an empty book of questions. */
export function createRequests(): Requests {
  const submits = new Map<string, PendingSubmit>();
  const lists = new Map<string, Deferred<SessionJobs>>();
  const subscribes = new Map<
    string,
    { readonly jobId: string; readonly answer: Deferred<SubscribeAnswer> }
  >();
  let nextId = 1;
  const newId = (): string => `r${nextId++}`;

  const answerOf = (id: string): Pick<Deferred<never>, 'reject'> | undefined =>
    submits.get(id)?.answer ?? lists.get(id) ?? subscribes.get(id)?.answer;
  const rejectUnrepeatable = (error: ArcpError): void => {
    for (const [id, { options, answer }] of submits) {
      if (options.idempotencyKey !== undefined) continue;
      submits.delete(id);
      answer.reject(error);
    }
    for (const answer of lists.values()) answer.reject(error);
    for (const { answer } of subscribes.values()) answer.reject(error);
    lists.clear();
    subscribes.clear();
  };
  return {
    submits,
    addSubmit(traceId, options) {
      const id = newId();
      const answer: PendingSubmit['answer'] = createDeferred();
      submits.set(id, { traceId, options, answer });
      return { id, answer };
    },
    addSubscribe(jobId) {
      const id = newId();
      const answer = createDeferred<SubscribeAnswer>();
      subscribes.set(id, { jobId, answer });
      return { id, answer };
    },
    addList() {
      const id = newId();
      const answer = createDeferred<SessionJobs>();
      lists.set(id, answer);
      return { id, answer };
    },
    takeSubmit(traceId) {
      for (const [id, pending] of submits) {
        if (traceId !== undefined && pending.traceId !== traceId) continue;
        submits.delete(id);
        return pending.answer;
      }
      return undefined;
    },
    takeSubscribe(jobId) {
      for (const [id, pending] of subscribes) {
        if (pending.jobId !== jobId) continue;
        subscribes.delete(id);
        return pending.answer;
      }
      return undefined;
    },
    takeList(id) {
      const answer = lists.get(id);
      lists.delete(id);
      return answer;
    },
    refuse(id, error) {
      const answer = typeof id === 'string' ? answerOf(id) : undefined;
      if (typeof id !== 'string' || answer === undefined) return false;
      submits.delete(id);
      lists.delete(id);
      subscribes.delete(id);
      answer.reject(error);
      return true;
    },
    rejectUnrepeatable,
    rejectAll(error) {
      for (const { answer } of submits.values()) answer.reject(error);
      submits.clear();
      rejectUnrepeatable(error);
    },
  };
}
