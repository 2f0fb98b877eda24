/** The three ways to make a writing call look like a method: at once, or in the group of this turn. */
import type { Asynchronous, JobReads, JobWrites } from './job-store.ts';
import type { Call, Calls } from './verbs.ts';

/** @internal Every writing call through `execute`, which answers at once. */
export function createImmediateWrites(
  calls: Calls,
  execute: <Result>(call: Call<Result>) => Result,
): JobWrites {
  return {
    enqueue: (request) => execute(calls.enqueue(request)),
    enqueueMany: (requests) => execute(calls.enqueueMany(requests)),
    claim: (request) => execute(calls.claim(request)),
    claimNext: (request) => execute(calls.claimNext(request)),
    heartbeat: (lease, leaseMs) => execute(calls.heartbeat(lease, leaseMs)),
    heartbeatMany: (leases, leaseMs) => execute(calls.heartbeatMany(leases, leaseMs)),
    setAttemptRun: (lease, run) => execute(calls.setAttemptRun(lease, run)),
    succeed: (lease, options) => execute(calls.succeed(lease, options)),
    fail: (lease, options) => execute(calls.fail(lease, options)),
    release: (lease, options) => execute(calls.release(lease, options)),
    completeAndClaim: (lease, options, next) => execute(calls.completeAndClaim(lease, options, next)),
    cancel: (kind, key) => execute(calls.cancel(kind, key)),
    retry: (kind, key) => execute(calls.retry(kind, key)),
    remove: (kind, key) => execute(calls.remove(kind, key)),
    pause: (kind) => execute(calls.pause(kind)),
    resume: (kind) => execute(calls.resume(kind)),
    decideSlot: (request) => execute(calls.decideSlot(request)),
  };
}

/** @internal Every writing call through `submit`, which answers after the commit. Bad arguments reject. */
export function createGroupedWrites(
  calls: Calls,
  submit: <Result>(call: Call<Result>) => Promise<Result>,
): Asynchronous<JobWrites> {
  return {
    enqueue: async (request) => submit(calls.enqueue(request)),
    enqueueMany: async (requests) => submit(calls.enqueueMany(requests)),
    claim: async (request) => submit(calls.claim(request)),
    claimNext: async (request) => submit(calls.claimNext(request)),
    heartbeat: async (lease, leaseMs) => submit(calls.heartbeat(lease, leaseMs)),
    heartbeatMany: async (leases, leaseMs) => submit(calls.heartbeatMany(leases, leaseMs)),
    setAttemptRun: async (lease, run) => submit(calls.setAttemptRun(lease, run)),
    succeed: async (lease, options) => submit(calls.succeed(lease, options)),
    fail: async (lease, options) => submit(calls.fail(lease, options)),
    release: async (lease, options) => submit(calls.release(lease, options)),
    completeAndClaim: async (lease, options, next) => submit(calls.completeAndClaim(lease, options, next)),
    cancel: async (kind, key) => submit(calls.cancel(kind, key)),
    retry: async (kind, key) => submit(calls.retry(kind, key)),
    remove: async (kind, key) => submit(calls.remove(kind, key)),
    pause: async (kind) => submit(calls.pause(kind)),
    resume: async (kind) => submit(calls.resume(kind)),
    decideSlot: async (request) => submit(calls.decideSlot(request)),
  };
}

/** @internal Every reading call with a promise for its answer. */
export function createAsyncReads(reads: JobReads): Asynchronous<JobReads> {
  return {
    get: async (kind, key) => reads.get(kind, key),
    list: async (request) => reads.list(request),
    attempts: async (kind, key, page) => reads.attempts(kind, key, page),
    stats: async () => reads.stats(),
    slotCursor: async (schedule) => reads.slotCursor(schedule),
    slots: async (schedule, page) => reads.slots(schedule, page),
  };
}
