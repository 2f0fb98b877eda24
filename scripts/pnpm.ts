// How scripts start package managers and other Nodes, without the settings the outer one exported about itself.

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Manifest, readJson, repositoryRoot } from './workspace.ts';

/** The Nodes the packages promise to run on, beside the pinned one: the oldest we allow and the newest there is. */
export const otherNodes: Readonly<Record<string, string>> = { '22': '22.18.0', '26': '26.10.0' };

/** Runs the pinned pnpm in a folder and returns what it printed. */
export function runPnpm(folder: string, args: readonly string[]): string {
  // Set by `pnpm run`; a script started by hand falls back on npx.
  const running = process.env['npm_execpath'] ?? '';
  const options = { cwd: folder, encoding: 'utf8', env: cleanEnvironment() } as const;
  if (/pnpm[^/\\]*$/.test(running)) return execFileSync(running, args, options);
  const { packageManager } = readJson(join(repositoryRoot, 'package.json')) as Manifest & {
    packageManager: string;
  };
  return execFileSync('npx', ['--yes', packageManager, ...args], options);
}

/**
 * Returns the executable of a Node, fetched through npm's cache unless it is the one that runs this.
 *
 * @param major - such as `22`
 */
export function findNode(major: string): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const version = otherNodes[major];
  if (version === undefined)
    throw new Error(`Cannot run on Node "${major}": scripts/pnpm.ts names no version of it`);
  const args = ['exec', '--yes', `--package=node@${version}`, '--', 'node', '-p', 'process.execPath'];
  return execFileSync('npm', args, { encoding: 'utf8', env: cleanEnvironment() }).trim();
}

/** What a program said and how it ended. */
export interface RunResult {
  readonly passed: boolean;
  readonly output: string;
}

/** Runs a program to its end, or for `timeoutMs`, and keeps both its streams. */
export function runProgram(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number },
): RunResult {
  const { cwd, env = cleanEnvironment(), timeoutMs = 120_000 } = options;
  const result = spawnSync(file, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const end =
    result.error?.message ??
    (result.signal === null ? `exit code ${result.status}` : `ended by ${result.signal}`);
  const passed = result.status === 0;
  return { passed, output: `${result.stdout}${result.stderr}${passed ? '' : end}`.trim() };
}

/** The executable of a tool this repository declares, whatever PATH says. */
export function findTool(name: string): string {
  return join(repositoryRoot, 'node_modules', '.bin', name);
}

/** The environment without npm's variables, which an inner npm or pnpm would take for settings; the registry's stay. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = /^npm_config_(registry|.*proxy|cafile|cache|userconfig)$/i;
  const entries = Object.entries(process.env).filter(([name]) => !/^p?npm_/i.test(name) || kept.test(name));
  return Object.fromEntries(entries);
}
