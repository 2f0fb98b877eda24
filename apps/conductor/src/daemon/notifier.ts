/**
 * The queue between tasks and their hooks.
 * Invariant: telling never waits, never throws, and never holds more than `maxWaiting` notifications; every one that was
 * not delivered is in the log.
 */
import type { Clock } from '@conductor-run/clock';
import type { Logger } from '@conductor-run/logging';

import type { JobDefinition, NotifyDefinition } from '../job-config.ts';
import { deliver } from './deliver.ts';
import type { Notification } from './notification.ts';

/** What a notifier works with. */
export interface NotifierOptions {
  readonly rootDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Waits before the second and further tries, in ms; one try more than there are waits.
   *
   * @defaultValue 1, 5 and 25 s
   */
  readonly retryDelaysMs?: readonly number[];
  /**
   * Notifications that may wait; what comes beyond is dropped and logged.
   *
   * @defaultValue 100
   */
  readonly maxWaiting?: number;
}

/** A running notifier; whoever makes it stops it. */
export interface Notifier {
  /** Queues a notification if the job asks for its event. */
  tell(job: JobDefinition, notification: Notification): void;
  /** Delivers what waits, for `graceMs` at most; the rest is logged. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Makes a notifier.
 *
 * @param options - what it works with
 */
export function createNotifier(options: NotifierOptions): Notifier {
  const { clock, logger, maxWaiting = 100 } = options;
  const abort = new AbortController();
  const waiting: Parcel[] = [];
  let delivering: Promise<void> | undefined;

  const deliverAll = async (): Promise<void> => {
    for (let parcel = waiting.shift(); parcel !== undefined; parcel = waiting.shift()) {
      await deliverOne(parcel, options, abort.signal);
    }
    delivering = undefined;
  };
  return {
    tell(job, notification) {
      const { notify } = job;
      if (notify === undefined || !notify.on.includes(notification.event)) return;
      const { event, attempt } = notification;
      if (abort.signal.aborted || waiting.length >= maxWaiting) {
        logger.error({ job: job.name, event, attempt, waiting: waiting.length }, 'notification.dropped');
        return;
      }
      waiting.push({ job, target: notify.target, notification });
      delivering ??= deliverAll();
    },
    async stop(graceMs) {
      const timer = clock.setTimer(graceMs, () => abort.abort(new Error('conductor stops')));
      await delivering;
      timer.cancel();
      abort.abort(new Error('conductor stops'));
    },
  };
}

interface Parcel {
  readonly job: JobDefinition;
  readonly target: NotifyDefinition['target'];
  readonly notification: Notification;
}

/** Never rejects: a delivery that failed for good is a line in the log. */
async function deliverOne(parcel: Parcel, options: NotifierOptions, signal: AbortSignal): Promise<void> {
  const { job, target, notification } = parcel;
  const { rootDir, env, clock, logger, retryDelaysMs = RETRY_DELAYS_MS } = options;
  const { event, attempt, deliveryId } = notification;
  const fields = { job: job.name, event, attempt, deliveryId };
  for (let tries = 1; ; tries += 1) {
    try {
      signal.throwIfAborted();
      await deliver(notification, { job, target, rootDir, env, clock, signal });
      logger.info({ ...fields, tries }, 'notification.delivered');
      return;
    } catch (error) {
      const delayMs = retryDelaysMs[tries - 1];
      if (delayMs === undefined || signal.aborted) {
        logger.error({ ...fields, tries, err: error }, 'notification.failed');
        return;
      }
      logger.warn({ ...fields, tries, err: error, delayMs }, 'notification.retried');
      // Ended early by a stop, the next try fails at once and is logged.
      await clock.sleep(delayMs, { signal }).catch(() => undefined);
    }
  }
}

const RETRY_DELAYS_MS = [1_000, 5_000, 25_000];
