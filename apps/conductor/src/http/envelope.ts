/**
 * What the HTTP API answers: `{ok, request_id, data}`, or `{ok: false, request_id, error: {code, message, details}}`.
 * Invariant: an error becomes an answer here and nowhere else; what nobody expected is logged and told without its text.
 */
import { CheckpointError } from '@conductor-run/checkpointing';
import { JobStoreError } from '@conductor-run/job-store';
import { LoggingError } from '@conductor-run/logging';
import { TimedJobsError } from '@conductor-run/timed-jobs';
import { WorkerRunnerError } from '@conductor-run/worker-runner';

import { ConductorError, type ConductorErrorCode } from '../errors.ts';

/** The answer to a request that was carried out. */
export interface SuccessEnvelope<Data = unknown> {
  readonly ok: true;
  readonly request_id: string;
  readonly data: Data;
}

/** The answer to a request that was refused or failed. */
export interface ErrorEnvelope {
  readonly ok: false;
  readonly request_id: string;
  readonly error: {
    /** A stable word: a `ConductorErrorCode`, or the code of the package that refused. */
    readonly code: string;
    /** One sentence. */
    readonly message: string;
    /** What to do next (`hint`) and more for programs; `{}` when there is nothing to add. */
    readonly details: Readonly<Record<string, unknown>>;
  };
}

/** An error as it is sent. */
export interface ErrorAnswer {
  readonly status: number;
  readonly error: ErrorEnvelope['error'];
  /** Whether nobody expected it: it belongs into the log. */
  readonly isUnexpected: boolean;
}

/** The HTTP status of each refusal. */
export const HTTP_STATUS: Readonly<Record<ConductorErrorCode, number>> = {
  'config-invalid': 500,
  'config-not-found': 500,
  usage: 400,
  'job-unknown': 404,
  'payload-invalid': 500,
  'run-unknown': 404,
  'run-ambiguous': 409,
  'run-ended': 409,
  'stream-limit': 503,
  'checkpoint-unknown': 404,
  'claim-refused': 409,
  'attempt-left': 500,
  'not-a-repository': 409,
  'git-missing': 500,
  'log-not-found': 404,
  'daemon-running': 409,
  'daemon-not-found': 404,
  'start-failed': 500,
  'port-in-use': 500,
  'token-invalid': 500,
  unauthorized: 401,
  'host-refused': 403,
  'origin-refused': 403,
  'route-unknown': 404,
  'method-refused': 405,
  'request-invalid': 400,
  'body-too-large': 413,
  'media-type-refused': 415,
  'headers-too-large': 431,
  'request-timeout': 408,
  'answer-timeout': 503,
  'rate-limited': 429,
  'not-ready': 503,
  internal: 500,
};

/**
 * Wraps what a route answers.
 *
 * @param requestId - id of the request
 * @param data - what the route returned
 */
export function succeed<Data>(requestId: string, data: Data): SuccessEnvelope<Data> {
  return { ok: true, request_id: requestId, data };
}

/**
 * Wraps an error.
 *
 * @param requestId - id of the request
 * @param answer - the error as it is sent
 */
export function refuse(requestId: string, { error }: ErrorAnswer): ErrorEnvelope {
  return { ok: false, request_id: requestId, error };
}

/**
 * Turns whatever was thrown into an answer.
 *
 * @param thrown - by a route, a hook or the framework
 */
export function toErrorAnswer(thrown: unknown): ErrorAnswer {
  if (thrown instanceof ConductorError) {
    const { code, message, hint, details } = thrown;
    const error = { code, message, details: { ...(hint !== undefined && { hint }), ...details } };
    return { status: HTTP_STATUS[code], error, isUnexpected: HTTP_STATUS[code] === 500 };
  }
  if (isPackageError(thrown)) {
    const { code, message } = thrown;
    const status = PACKAGE_STATUS[code] ?? 500;
    return { status, error: { code, message, details: {} }, isUnexpected: status === 500 };
  }
  const known = frameworkError(thrown);
  if (known !== undefined) return toErrorAnswer(known);
  return { ...toErrorAnswer(new ConductorError('internal', UNEXPECTED)), isUnexpected: true };
}

/** Errors of the packages carry a code and a message that stands alone. */
function isPackageError(thrown: unknown): thrown is Error & { readonly code: string } {
  return PACKAGE_ERRORS.some((each) => thrown instanceof each);
}

/** What Fastify refuses by itself, in our words. */
function frameworkError(thrown: unknown): ConductorError | undefined {
  if (!(thrown instanceof Error) || !('statusCode' in thrown) || typeof thrown.statusCode !== 'number') {
    return undefined;
  }
  const known = FRAMEWORK_CODES[thrown.statusCode];
  if (known === undefined && (thrown.statusCode < 400 || thrown.statusCode > 499)) return undefined;
  return new ConductorError(known ?? 'request-invalid', `Cannot take the request: ${thrown.message}`, {
    cause: thrown,
    ...(known === 'media-type-refused' && { hint: 'Send "content-type: application/json".' }),
  });
}

/** What its statuses mean here; any other one of the 400s is a request that cannot be understood. */
const FRAMEWORK_CODES: Readonly<Record<number, ConductorErrorCode>> = {
  413: 'body-too-large',
  415: 'media-type-refused',
  503: 'answer-timeout',
};

const PACKAGE_ERRORS = [CheckpointError, JobStoreError, LoggingError, TimedJobsError, WorkerRunnerError];

/** Statuses of the packages' codes; any other one is an error of ours. */
const PACKAGE_STATUS: Readonly<Record<string, number>> = { busy: 503, closed: 503, 'disk-full': 507 };

const UNEXPECTED = 'Cannot answer the request: an error nobody expected, see the log of the daemon';
