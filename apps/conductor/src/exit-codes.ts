/** Exit codes of conductor itself; `run` and `exec` pass the step's own code on. Documented in the README. */

/** What an exit code means. */
export const EXIT: {
  /** Everything asked for was done. */
  readonly ok: 0;
  /** The command failed or had nothing to do, or the work it ran failed without a code of its own. */
  readonly failed: 1;
  /** Wrong arguments or config; nothing was changed. */
  readonly usage: 2;
  /** `start`: a second signal ended the running steps. */
  readonly hurried: 3;
  /** `start`: the grace ran out and the running steps were ended. */
  readonly graceOver: 4;
  /** `reload`: the config is in use, but for settings that are used after a restart only. */
  readonly restartNeeded: 5;
  /**
   * Not now: the job runs, here or elsewhere, waits for a retry, is paused (EX_TEMPFAIL of sysexits.h).
   * `start --run-once`: nothing could be planned, because another node leads or everything is paused.
   */
  readonly refused: 75;
  /** The step's time was up, as timeout(1) has it. */
  readonly timedOut: 124;
  /** Conductor lost the step or could not record it. */
  readonly lost: 125;
  /** The step could not be started. */
  readonly notStartable: 126;
} = {
  ok: 0,
  failed: 1,
  usage: 2,
  hurried: 3,
  graceOver: 4,
  restartNeeded: 5,
  refused: 75,
  timedOut: 124,
  lost: 125,
  notStartable: 126,
};
