/**
 * A process that has the built packages as npm would install them, and does what it is told, git commands and captures alike:
 * starting a process from Node takes the longer the larger Node is, and every contender has to bear the same.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import type { Environment } from './repository.ts';

/** What the process can be told to do, one at a time. */
export type Work =
  | { readonly git: readonly (readonly string[])[]; readonly cwd: string; readonly env: Environment }
  | { readonly capture: object; readonly worktree: string };

export interface InstalledProcess {
  /** What it took in ms: one number for git, two for a first and an unchanged capture by a new manager. */
  work(work: Work): Promise<readonly number[]>;
  /** The process's peak memory in MiB. */
  end(): Promise<number>;
}

/** Puts the built packages into `directory`; `pnpm run build` makes them. */
export function installBuilt(directory: string): void {
  for (const name of ['clock', 'checkpointing']) {
    const source = fileURLToPath(new URL(`../../${name}`, import.meta.url));
    if (!existsSync(join(source, 'dist/index.js'))) {
      throw new Error(`Cannot measure package "${name}": it is not built, expected "dist/index.js"`);
    }
    const target = join(directory, 'node_modules/@conductor-run', name);
    mkdirSync(target, { recursive: true });
    cpSync(join(source, 'dist'), join(target, 'dist'), { recursive: true });
    const built = readFileSync(join(source, 'package.json'), 'utf8').replace(
      './src/index.ts',
      './dist/index.js',
    );
    writeFileSync(join(target, 'package.json'), built);
  }
  const zod = dirname(createRequire(import.meta.url).resolve('zod/package.json'));
  symlinkSync(zod, join(directory, 'node_modules/zod'));
}

export function startInstalled(directory: string): InstalledProcess {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
    cwd: directory,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<readonly number[]> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('Cannot measure: the process ended, expected an answer');
    return value.split(' ').map(Number);
  };
  return {
    work(work) {
      child.stdin.write(`${JSON.stringify(work)}\n`);
      return answer();
    },
    async end() {
      child.stdin.end();
      const [peakMiB = Number.NaN] = await answer();
      return peakMiB;
    },
  };
}

const SCRIPT = `
import { execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { createCheckpointManager } from '@conductor-run/checkpointing';

const timed = async (work) => {
  const from = performance.now();
  await work();
  return performance.now() - from;
};
for await (const line of createInterface({ input: process.stdin })) {
  const { git, cwd, env, capture, worktree } = JSON.parse(line);
  const took = [];
  if (git !== undefined) {
    const options = { cwd, env, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 30, encoding: 'utf8' };
    took.push(await timed(() => {
      // An argument of "-" stands for what the command before has printed.
      let printed = '';
      for (const args of git) printed = execFileSync('git', args.map((arg) => arg === '-' ? printed : arg), options).trim();
    }));
  } else {
    const manager = createCheckpointManager(capture);
    for (let turn = 0; turn < 2; turn++) took.push(await timed(() => manager.writeGitDiff({ worktree })));
    await manager.prune({});
  }
  console.log(took.join(' '));
}
console.log(Math.round(process.resourceUsage().maxRSS / 1024));
`;
