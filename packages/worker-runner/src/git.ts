/**
 * Runs git for work trees.
 * Invariant: no hook and no fsmonitor of the repository runs (a step may have written them), and no `GIT_*` of the
 * environment leads git elsewhere.
 */
import { spawn } from 'node:child_process';

import { messageOf, WorkerRunnerError } from './errors.ts';

/** How one git command ended. */
export interface GitOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs git in a directory; resolves with whatever exit code it had. */
export type RunGit = (cwd: string, args: readonly string[]) => Promise<GitOutput>;

/**
 * Makes the runner of git commands.
 *
 * @param env - the environment to pass on, without what would lead git elsewhere
 * @throws {@link WorkerRunnerError} with code `git-failed` from the calls, when git cannot be started
 */
export function createRunGit(env: Readonly<Record<string, string | undefined>>): RunGit {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !name.startsWith('GIT_')) clean[name] = value;
  }
  Object.assign(clean, { LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' });
  return (cwd, args) =>
    new Promise((resolve, reject) => {
      const child = spawn('git', [...HARDENED, ...args], {
        cwd,
        env: clean,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.on('error', (error) => {
        const message = `Cannot run git in "${cwd}": ${messageOf(error)}, expected git on PATH and an existing directory`;
        reject(new WorkerRunnerError('git-failed', message, { cause: error }));
      });
      child.on('close', (code) => {
        resolve({
          exitCode: code ?? SIGNALLED,
          stdout: Buffer.concat(stdout).toString('utf8'),
          stderr: Buffer.concat(stderr).toString('utf8'),
        });
      });
    });
}

/**
 * Runs git and takes anything but success for a failure.
 *
 * @param git - from `createRunGit`
 * @param cwd - where
 * @param args - what
 * @returns stdout
 * @throws {@link WorkerRunnerError} with code `git-failed` and git's own words
 */
export async function mustGit(git: RunGit, cwd: string, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await git(cwd, args);
  if (exitCode === 0) return stdout;
  throw new WorkerRunnerError(
    'git-failed',
    `Cannot run "git ${args.join(' ')}" in "${cwd}": exit code ${exitCode}, ${stderr.trim() || 'without a word'}`,
  );
}

const HARDENED = [
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'advice.detachedHead=false',
];
const SIGNALLED = 128;
