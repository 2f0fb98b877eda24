/** One try to deliver a notification, to a command or a webhook. */
import { createHmac } from 'node:crypto';

import type { Clock } from '@conductor-run/clock';

import type { JobDefinition } from '../job-config.ts';
import type { NotifyDefinition } from '../notify-config.ts';
import type { Notification } from './notification.ts';
import { programEnvironment, runProgram } from './run-program.ts';

/** What delivering takes. */
export interface DeliverOptions {
  readonly job: JobDefinition;
  readonly target: NotifyDefinition['target'];
  readonly rootDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Ends the try. */
  readonly signal: AbortSignal;
}

/**
 * Delivers once.
 *
 * @param notification - what to tell
 * @param options - to whom
 * @throws Error saying why it was not taken
 */
export async function deliver(notification: Notification, options: DeliverOptions): Promise<void> {
  const { target } = options;
  const body = JSON.stringify(notification);
  switch (target.kind) {
    case 'command':
      return runHook(body, notification, target.command, options);
    case 'webhook':
      return post(body, notification, target, options);
  }
}

/**
 * Signs a body: HMAC-SHA256 over the timestamp, a dot and the body, in hex.
 *
 * @param secret - shared with the receiver
 * @param timestampSec - when it was signed, UTC seconds
 * @param body - the request's bytes as text
 */
function signBody(secret: string, timestampSec: number, body: string): string {
  return createHmac('sha256', secret).update(`${timestampSec}.${body}`).digest('hex');
}

async function runHook(
  body: string,
  notification: Notification,
  command: string | readonly string[],
  { job, rootDir, env, clock, signal }: DeliverOptions,
): Promise<void> {
  const { failure } = await runProgram({
    command,
    cwd: rootDir,
    env: { ...programEnvironment(job, env), CONDUCTOR_EVENT: notification.event },
    input: `${body}\n`,
    timeoutMs: TRY_TIMEOUT_MS,
    signal,
    clock,
  });
  if (failure !== undefined) throw new Error(`Cannot notify by command: it ${failure}`);
}

async function post(
  body: string,
  { event, deliveryId }: Notification,
  target: Extract<NotifyDefinition['target'], { kind: 'webhook' }>,
  { job, env, clock, signal }: DeliverOptions,
): Promise<void> {
  const secret = job.env.set[target.secretEnv] ?? env[target.secretEnv];
  // Addresses may carry a key: messages name the server only.
  const { origin } = new URL(target.url);
  if (secret === undefined) {
    throw new Error(`Cannot notify "${origin}": the variable ${target.secretEnv} has no value to sign with`);
  }
  const timestampSec = Math.floor(clock.nowMs() / 1_000);
  const tooLong = new AbortController();
  const timer = clock.setTimer(TRY_TIMEOUT_MS, () =>
    tooLong.abort(new Error(`no answer within ${TRY_TIMEOUT_MS} ms`)),
  );
  try {
    const answer = await fetch(target.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'conductor',
        'conductor-event': event,
        'conductor-delivery': deliveryId,
        'conductor-timestamp': String(timestampSec),
        'conductor-signature': `v1=${signBody(secret, timestampSec, body)}`,
      },
      body,
      // A signed body goes where the config says and nowhere else.
      redirect: 'error',
      signal: AbortSignal.any([signal, tooLong.signal]),
    });
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
  } catch (error) {
    throw new Error(`Cannot notify "${origin}": ${reasonOf(error)}`, { cause: error });
  } finally {
    timer.cancel();
  }
}

/** fetch hides the system's words in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

const TRY_TIMEOUT_MS = 10_000;
