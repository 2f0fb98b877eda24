/**
 * Runs git for work trees. Invariant: no `GIT_*` of ours reaches it, no hook runs, messages are in English, and it never
 * asks anybody.
 */
import { execFile } from 'node:child_process';

import { WorkerRunnerError } from './errors.ts';
import { BASE_VARIABLES, pickEnv } from './supervisor-client.ts';

/** What git said. */
export interface GitAnswer {
  /** 0 for success. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git in one directory, with `input` on its stdin. */
export type Git = (args: readonly string[], input?: string) => Promise<GitAnswer>;

/**
 * Prepares git for a directory.
 *
 * @param cwd - where it runs
 * @param env - our environment, of which it gets PATH, HOME and the like
 * @param variables - what git is told beside that, such as another index
 */
export function createGit(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
  variables: Readonly<Record<string, string>> = {},
): Git {
  const gitEnv = {
    ...pickEnv(env, BASE_VARIABLES),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    ...variables,
  };
  return (args, input) =>
    new Promise((resolve, reject) => {
      const options = { cwd, env: gitEnv, maxBuffer: MAX_OUTPUT_BYTES };
      const child = execFile('git', [...SAFE_CONFIG, ...args], options, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') {
          reject(gitFailed(args, error.message, error));
          return;
        }
        resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr });
      });
      // A git that ends before it has read everything says why in its exit code.
      child.stdin?.on('error', () => undefined).end(input);
    });
}

/**
 * Runs git and expects success.
 *
 * @param git - from `createGit`
 * @param args - its arguments
 * @param input - its stdin
 * @throws {@link WorkerRunnerError} with code `git-failed`
 */
export async function gitOrThrow(git: Git, args: readonly string[], input?: string): Promise<string> {
  const answer = await git(args, input);
  if (answer.exitCode === 0) return answer.stdout;
  throw gitFailed(args, answer.stderr.trim());
}

/** The error for a git command that failed. */
export function gitFailed(args: readonly string[], words: string, cause?: unknown): WorkerRunnerError {
  return new WorkerRunnerError('git-failed', `Cannot run git "${args.join(' ')}": ${words}`, { cause });
}

/** Hooks and the monitor may have been put there by a step. */
const SAFE_CONFIG = ['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false'];
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
