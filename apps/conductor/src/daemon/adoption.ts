/**
 * Looks now and then for tasks whose process has died: another daemon of this host, or a `conductor run`.
 * Invariant: one look at a time; a task is handed on with its lock held, so that nobody else goes on with it too.
 */
import type { Timer } from '@conductor-run/clock';

import type { DaemonOptions } from './daemon.ts';
import { adoptTasks, hasOrphanedTasks, type LeftTask } from './leased-task.ts';

/**
 * Starts to look, every heartbeat interval.
 *
 * @param options - the daemon's
 * @param onError - told of a look that failed; the next one follows all the same
 * @param onTask - goes on with a task
 * @returns what ends it
 */
export function startAdoption(
  options: DaemonOptions,
  onError: (error: unknown, doing: string) => void,
  onTask: (task: LeftTask) => void,
): { stop(): Promise<void> } {
  const { clock } = options.io;
  const { heartbeatIntervalMs } = options.config.settings;
  let isStopped = false;
  let timer: Timer | undefined;
  let looking: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    try {
      if (await hasOrphanedTasks(options)) for (const task of await adoptTasks(options)) onTask(task);
    } catch (error) {
      onError(error, 'adopt tasks');
    }
    arm();
  };
  const arm = (): void => {
    if (isStopped) return;
    timer = clock.setTimer(heartbeatIntervalMs, () => {
      looking = look();
    });
  };
  arm();
  return {
    async stop() {
      isStopped = true;
      timer?.cancel();
      await looking;
    },
  };
}
