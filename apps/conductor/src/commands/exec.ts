/** `conductor exec -- CMD…`: any command as a step with a full record. */
import type { Command } from 'commander';
import { ulid } from 'ulid';

import { type CliOptions, createContext, withCommonOptions } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import { EXEC_KIND } from '../forget-jobs.ts';
import { claimNow, runInForeground } from '../foreground.ts';
import type { CliIo } from '../io.ts';
import type { JobDefinition } from '../job-config.ts';
import { withStore } from '../wire.ts';

/** Adds `exec`. */
export function addExecCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    program
      .command('exec <command...>')
      .description(
        'run any command as a step with a full record; exits with its exit code; what is piped in it reads, a terminal it does not',
      )
      .option('--timeout <duration>', 'wall time it may take, such as 90s or 30m')
      .passThroughOptions()
      .addHelpText(
        'after',
        '\nExamples:\n  conductor exec -- npm test\n  git diff | conductor exec -- ./review.sh',
      ),
  ).action(async (command: string[], options: CliOptions) => {
    const { timeout, ...common } = options;
    const context = createContext(io, common);
    io.outliveReader();
    const job = toJob(command, timeout);
    finish(
      await withStore(context, async (store) => {
        // Every call is work of its own: a key of its own keeps it from coalescing with another.
        const lease = await claimNow(context, store, job, ulid(io.clock.nowMs()));
        return runInForeground(context, store, job, lease, { workDir: io.cwd, sharesStdin: io.hasInput });
      }),
    );
  });
}

function toJob(command: readonly string[], timeout: CliOptions[string]): JobDefinition {
  const timeoutMs = typeof timeout === 'string' ? parseDuration(timeout) : undefined;
  if (timeout !== undefined && (timeoutMs ?? 0) === 0) {
    throw new ConductorError(
      'usage',
      `Cannot use --timeout "${String(timeout)}": expected a duration above 0 such as 90s, 30m or 1h30m`,
    );
  }
  return {
    name: EXEC_KIND,
    description: command.join(' ').slice(0, 200),
    version: '1.0.0',
    steps: [{ name: 'exec', command, timeoutMs, idleTimeoutMs: undefined, testReport: undefined }],
    schedule: undefined,
    watch: undefined,
    notify: undefined,
    worktreeBase: undefined,
    retry: { max: 0, backoff: 'fixed', delayMs: 0, maxDelayMs: 0 },
    concurrency: 1_000,
    cwd: undefined,
    priority: 0,
    concurrencyKey: undefined,
    checkpoint: { everyMs: undefined, gitDiff: true, logTailLines: 20 },
    env: { pass: [], set: {}, secrets: [] },
  };
}
