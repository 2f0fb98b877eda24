/**
 * The one place that runs git.
 * Invariant: git runs in its own process group, without any `GIT_*` of ours, without hooks, fsmonitor, pagers or prompts,
 * and is never waited for beyond its timeout. It is the package's adapter to the environment: PATH and HOME come from here.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createRealClock, type Clock } from '@conductor-run/clock';
import { CheckpointError, systemErrorCode } from './errors.ts';
import { requireCount, type GitOptions } from './options.ts';

/** @internal One git command. */
export interface GitCommand {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to the hardened environment: GIT_DIR and the like. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to stdin, then closed. */
  readonly input?: Uint8Array | string;
  /** A file descriptor that gets stdout, so that large output never passes through this process. */
  readonly stdoutFd?: number;
  /** Gets stdout as it comes, which the result then does not hold. Must not throw. */
  readonly onStdout?: (chunk: Buffer) => void;
  /** Exit codes that are answers, not failures. Default: 0 alone. */
  readonly okExitCodes?: readonly number[];
}

/** @internal */
export interface GitResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  /** The first 64 KiB. */
  readonly stderr: string;
}

/** @internal A git process that is fed while it runs. */
export interface GitFeed {
  /** Resolves when the process has room for more; resolves at once when it is gone, `result` then says why. */
  write(chunk: Uint8Array): Promise<void>;
  end(): void;
  /** Kills the process, if it has not ended, and waits for its end. */
  stop(): Promise<void>;
  readonly result: Promise<GitResult>;
}

/** @internal */
export interface Git {
  run(command: GitCommand): Promise<GitResult>;
  feed(command: GitCommand): GitFeed;
  /** HOME as git sees it, if any. */
  readonly home: string | undefined;
  /** XDG_CONFIG_HOME as git sees it, if any. */
  readonly configHome: string | undefined;
}

/** @internal */
export function createGit(options: GitOptions = {}, clock: Clock = createRealClock()): Git {
  const source = options.env ?? process.env;
  const env = hardenedEnvironment(source);
  const timeoutMs = requireCount('timeoutMs', options.timeoutMs ?? 120_000, 1);
  const { signal } = options;

  const feed = (command: GitCommand): GitFeed => {
    signal?.throwIfAborted();
    const child = spawn('git', [...FIXED_ARGS, ...command.args], {
      cwd: command.cwd,
      env: { ...env, ...command.env },
      stdio: ['pipe', command.stdoutFd ?? 'pipe', 'pipe'],
      detached: true,
    });
    return watch(child, command, { clock, timeoutMs, signal });
  };
  return {
    home: env['HOME'],
    configHome: env['XDG_CONFIG_HOME'],
    feed,
    async run(command) {
      const running = feed(command);
      if (command.input !== undefined) await running.write(Buffer.from(command.input));
      running.end();
      return running.result;
    },
  };
}

interface WatchContext {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

function watch(child: ChildProcess, command: GitCommand, context: WatchContext): GitFeed {
  const verb = verbOf(command.args);
  const stdout: Buffer[] = [];
  let stderr = '';
  let failure: Error | undefined;
  let isOver = false;
  let abandon = (): void => undefined;

  const giveUp = (cause: unknown): void => {
    failure = new CheckpointError(
      'git-failed',
      `Cannot end git "${verb}": ${String(cause)}, expected it killed`,
      {
        cause,
      },
    );
    for (const stream of child.stdio) stream?.destroy();
    child.unref();
    abandon();
  };
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      // Nobody is there to catch what a timer or a signal throws: whoever waits for the result is told.
      if (systemErrorCode(error) !== 'ESRCH') giveUp(error);
    }
  };
  const fail = (reason: Error): void => {
    failure ??= reason;
    killGroup();
  };
  const onAbort = (): void => fail(abortReason(context.signal));
  context.signal?.addEventListener('abort', onAbort, { once: true });
  const timer = context.clock.setTimer(context.timeoutMs, () => {
    fail(
      new CheckpointError(
        'git-timeout',
        `Cannot run git "${verb}": still running after ${context.timeoutMs} ms, expected an end`,
      ),
    );
  });

  const onStdout = command.onStdout ?? ((chunk: Buffer): void => void stdout.push(chunk));
  child.stdout?.on('data', onStdout);
  child.stderr?.on('data', (chunk: Buffer) => {
    if (stderr.length < MAX_STDERR_CHARS) stderr += chunk.toString('utf8');
  });
  // A git that stops reading ends with an exit code that says why; EPIPE adds nothing to it.
  child.stdin?.on('error', () => undefined);

  const result = new Promise<GitResult>((resolve, reject) => {
    const settle = (exitCode: number | null, killedBy: string | null): void => {
      isOver = true;
      timer.cancel();
      context.signal?.removeEventListener('abort', onAbort);
      if (failure !== undefined) reject(failure);
      else if (exitCode !== null && (command.okExitCodes ?? [0]).includes(exitCode)) {
        resolve({ exitCode, stdout: Buffer.concat(stdout), stderr });
      } else reject(failed(verb, exitCode ?? killedBy, stderr));
    };
    child.on('error', (error) => {
      failure ??= spawnFailure(error, command.cwd);
      if (child.pid === undefined) settle(null, null);
    });
    child.on('close', settle);
    abandon = () => settle(null, null);
  });
  // Whoever feeds the process looks at the result later; a failure until then is not unhandled.
  result.catch(() => undefined);

  return {
    result,
    write: (chunk) => writeTo(child, chunk),
    end: () => child.stdin?.end(),
    async stop() {
      // The number of a process that has ended may be another's by now.
      if (!isOver) killGroup();
      await result.catch(() => undefined);
    },
  };
}

/** The first word that is neither an option nor the value of `-c`. */
function verbOf(args: readonly string[]): string {
  return args.find((arg, index) => !arg.startsWith('-') && args[index - 1] !== '-c') ?? 'git';
}

function writeTo(child: ChildProcess, chunk: Uint8Array): Promise<void> {
  // Without a file descriptor left there are no streams at all, whatever the type says.
  const stdin: ChildProcess['stdin'] | undefined = child.stdin;
  if (stdin === null || stdin === undefined || stdin.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    stdin.write(chunk, () => resolve());
  });
}

function failed(verb: string, ended: number | string | null, stderr: string): CheckpointError {
  return new CheckpointError(
    'git-failed',
    `Cannot run git "${verb}": it ended with ${ended}, expected 0: ${stderr.trim().slice(0, 2000)}`,
  );
}

function spawnFailure(error: Error, cwd: string): CheckpointError {
  return new CheckpointError(
    systemErrorCode(error) === 'ENOENT' ? 'git-missing' : 'git-failed',
    `Cannot start git in "${cwd}": ${error.message}, expected git on PATH and an existing directory`,
    { cause: error },
  );
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

function hardenedEnvironment(source: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_PAGER: 'cat',
    LC_ALL: 'C',
    TZ: 'UTC',
  };
  for (const name of INHERITED) {
    const value = source[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** What git itself needs: to be found, to find the user's excludes, and a place for temporary files. */
const INHERITED = ['PATH', 'HOME', 'XDG_CONFIG_HOME', 'TMPDIR', 'TMP', 'TEMP', 'SYSTEMROOT', 'USERPROFILE'];
/** Command-line configuration beats what any configuration file says. */
const FIXED_ARGS = [
  '--no-pager',
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'core.quotePath=false',
  '-c',
  'core.logAllRefUpdates=false',
  '-c',
  'gc.auto=0',
  '-c',
  'maintenance.auto=false',
  '-c',
  'submodule.recurse=false',
];
const MAX_STDERR_CHARS = 64 * 1024;
