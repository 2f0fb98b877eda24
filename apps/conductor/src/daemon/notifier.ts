/**
 * The queues between tasks and their hooks, one for each target: who does not answer keeps nobody else waiting.
 * Invariant: telling never waits, never throws, and never holds more than `maxWaiting` notifications of a target; those of
 * one target are delivered in the order they were told; every one that was not delivered is logged or counted in the log.
 */
import type { Clock } from '@conductor-run/clock';
import type { Logger } from '@conductor-run/logging';

import type { JobDefinition } from '../job-config.ts';
import type { NotifyDefinition } from '../notify-config.ts';
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
  /** Told how each notification ended. Must not throw. */
  readonly onEnded: (job: string, outcome: NotificationOutcome) => void;
  /**
   * Notifications that may wait for one target; what comes beyond is dropped and counted.
   *
   * @defaultValue 100
   */
  readonly maxWaiting?: number;
}

/** What became of a notification. */
export type NotificationOutcome = 'delivered' | 'failed' | 'dropped';

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
  const { clock, logger, onEnded, maxWaiting = 100 } = options;
  const abort = new AbortController();
  /** Those something waits in, by their target. */
  const queues = new Map<string, Queue>();

  const deliverAll = async (key: string, queue: Queue): Promise<void> => {
    const { waiting } = queue;
    for (let parcel = waiting.shift(); parcel !== undefined; parcel = waiting.shift()) {
      onEnded(parcel.job.name, await deliverOne(parcel, options, abort.signal));
    }
    queues.delete(key);
    if (queue.dropped > 0) logger.error({ dropped: queue.dropped }, 'notification.dropped-in-all');
  };
  const drop = (queue: Queue | undefined, { job, notification }: Parcel): void => {
    const { event, attempt } = notification;
    onEnded(job.name, 'dropped');
    if (queue !== undefined) queue.dropped += 1;
    // A target that is down for a night is one line now, and the count at its end.
    if (queue !== undefined && queue.dropped > 1) return;
    const waiting = queue?.waiting.length ?? 0;
    logger.error({ job: job.name, event, attempt, waiting }, 'notification.dropped');
  };
  return {
    tell(job, notification) {
      const { notify } = job;
      if (notify === undefined || !notify.on.includes(notification.event)) return;
      const { target } = notify;
      const parcel = { job, target, notification };
      const key = JSON.stringify(target);
      const queue = queues.get(key);
      if (abort.signal.aborted || (queue !== undefined && queue.waiting.length >= maxWaiting)) {
        drop(queue, parcel);
      } else if (queue !== undefined) {
        queue.waiting.push(parcel);
      } else {
        const opened: Queue = { waiting: [parcel], dropped: 0, delivering: Promise.resolve() };
        queues.set(key, opened);
        opened.delivering = deliverAll(key, opened);
      }
    },
    async stop(graceMs) {
      const timer = clock.setTimer(graceMs, () => abort.abort(new Error('conductor stops')));
      await Promise.all([...queues.values()].map(async ({ delivering }) => delivering));
      timer.cancel();
      abort.abort(new Error('conductor stops'));
    },
  };
}

/** What waits for one target. */
interface Queue {
  readonly waiting: Parcel[];
  /** Since the queue was last empty. */
  dropped: number;
  /** Resolves when it is empty. */
  delivering: Promise<void>;
}

interface Parcel {
  readonly job: JobDefinition;
  readonly target: NotifyDefinition['target'];
  readonly notification: Notification;
}

/** Never rejects: a delivery that failed for good is a line in the log. */
async function deliverOne(
  parcel: Parcel,
  options: NotifierOptions,
  signal: AbortSignal,
): Promise<NotificationOutcome> {
  const { job, target, notification } = parcel;
  const { rootDir, env, clock, logger, retryDelaysMs = RETRY_DELAYS_MS } = options;
  const { event, attempt, deliveryId } = notification;
  const fields = { job: job.name, event, attempt, deliveryId };
  for (let tries = 1; ; tries += 1) {
    try {
      signal.throwIfAborted();
      await deliver(notification, { job, target, rootDir, env, clock, signal });
      logger.info({ ...fields, tries }, 'notification.delivered');
      return 'delivered';
    } catch (error) {
      const delayMs = retryDelaysMs[tries - 1];
      if (delayMs === undefined || signal.aborted) {
        logger.error({ ...fields, tries, err: error }, 'notification.failed');
        return 'failed';
      }
      logger.warn({ ...fields, tries, err: error, delayMs }, 'notification.retried');
      // Ended early by a stop, the next try fails at once and is logged.
      await clock.sleep(delayMs, { signal }).catch(() => undefined);
    }
  }
}

const RETRY_DELAYS_MS = [1_000, 5_000, 25_000];
