/** A node's sign of life. Invariant: one write in flight at most; a failing store is told and tried again. */
import type { Clock, Timer } from '@conductor-run/clock';
import type { JobStore, JsonValue } from '@conductor-run/job-store';

/** What a heartbeat works with. */
export interface HeartbeatOptions {
  readonly store: JobStore;
  readonly nodeId: string;
  readonly host: string;
  readonly intervalMs: number;
  readonly clock: Clock;
  /** What the node tells about itself. */
  readonly state: () => JsonValue;
  readonly onError: (error: unknown, doing: string) => void;
}

/** A heart that beats; whoever starts it stops it. */
export interface Heartbeat {
  /** When the last sign of life was written, ms on the monotonic clock. */
  lastBeatMs(): number;
  /** Beats out of turn, because there is news; the next one follows an interval later. */
  beatNow(): Promise<void>;
  /** Ends it and forgets the node. */
  stop(): Promise<void>;
}

/**
 * Writes the first sign of life, then one every interval. A node counts as live for three intervals.
 *
 * @param options - who beats where
 * @throws what the store throws for the first one
 */
export async function startHeartbeat(options: HeartbeatOptions): Promise<Heartbeat> {
  const { store, nodeId, host, intervalMs, clock } = options;
  let isStopped = false;
  let timer: Timer | undefined;
  let inFlight: Promise<void> = Promise.resolve();

  let beatMs = 0;
  const beat = async (): Promise<void> => {
    await store.nodeHeartbeat({ nodeId, host, ttlMs: LIVES * intervalMs, state: options.state() });
    beatMs = clock.monotonicMs();
  };
  const beatAndArm = async (): Promise<void> => {
    // Whoever has left gives no sign of life any more.
    if (isStopped) return;
    try {
      await beat();
    } catch (error) {
      options.onError(error, 'write heartbeat');
    }
    arm();
  };
  const arm = (): void => {
    timer?.cancel();
    if (isStopped) return;
    timer = clock.setTimer(intervalMs, () => {
      inFlight = beatAndArm();
    });
  };

  await beat();
  arm();
  return {
    lastBeatMs: () => beatMs,
    beatNow() {
      inFlight = inFlight.then(beatAndArm);
      return inFlight;
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await inFlight;
      await store.removeNode(nodeId);
    },
  };
}

const LIVES = 3;
