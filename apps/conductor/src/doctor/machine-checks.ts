/** Checks of the machine: Node, git, clock, disk, and what is called `conductor`. */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  closeSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { ConductorError } from '../errors.ts';
import { readToken } from '../http/token.ts';
import { isNodeSupported } from '../node-version.ts';
import { ensureStateDir } from '../state-dir.ts';
import { formatBytes } from '../terminal/bytes.ts';
import { formatDuration } from '../duration.ts';
import type { Check, CheckOptions, Finding } from './finding.ts';

/** Checks of the machine, in the order they are printed. */
export const MACHINE_CHECKS: readonly Check[] = [
  { name: 'node', run: () => judgeNode(process.versions.node) },
  { name: 'git', run: async ({ io }) => judgeGit(await gitVersion(io.env)) },
  { name: 'clock', run: checkClock },
  { name: 'disk', run: checkDisk },
  { name: 'state directory', run: checkStateDir },
  { name: 'token', run: checkToken },
  { name: 'conductor on PATH', run: ({ io }) => judgePath(io.env['PATH'] ?? '', ownRoot()) },
];

/**
 * Judges a Node version by what the package asks for.
 *
 * @param version - such as `24.1.0`
 */
export function judgeNode(version: string): Finding {
  if (isNodeSupported(version)) return { status: 'ok', detail: `Node ${version}` };
  return { status: 'bad', detail: `Node ${version}`, mend: 'Install Node 22.18, or 24 or newer.' };
}

/**
 * Judges a git version by what checkpoints and work trees need.
 *
 * @param said - what `git --version` printed; `undefined` when there is no git
 */
export function judgeGit(said: string | undefined): Finding {
  const match = /(\d+)\.(\d+)/.exec(said ?? '');
  if (match === null) {
    const mend = 'Install git 2.38 or newer; jobs run without it, without work trees and diffs.';
    return { status: 'warn', detail: 'no git on PATH', mend };
  }
  const version = Number(match[1]) * 1_000 + Number(match[2]);
  const detail = `git ${match[0]}`;
  if (version >= 2_038) return { status: 'ok', detail };
  if (version >= 2_035) {
    return { status: 'warn', detail, mend: 'Install git 2.38 or newer for checkpoints replay --onto.' };
  }
  return { status: 'bad', detail, mend: 'Install git 2.38 or newer: checkpoints need 2.35.' };
}

/**
 * Judges what `conductor` means on a PATH.
 *
 * @param searchPath - value of PATH
 * @param root - folder of this package
 */
export function judgePath(searchPath: string, root: string): Finding {
  const first = searchPath
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, 'conductor'))
    .find((file) => existsSync(file) && statSync(file).isFile());
  if (first === undefined) {
    const mend =
      'Hooks and scripts that call conductor need it there: npm install -g @conductor-run/conductor.';
    return { status: 'warn', detail: 'conductor is not on PATH', mend };
  }
  if (isOurs(first, root)) return { status: 'ok', detail: first };
  return {
    status: 'warn',
    detail: `${first} is another program`,
    mend: 'Call this one cdr, or put its folder first on PATH.',
  };
}

/** A link to this package, or the small script a package manager writes, which names it. */
function isOurs(file: string, root: string): boolean {
  if (realpathSync(file).startsWith(root + path.sep)) return true;
  const head = Buffer.alloc(8_192);
  const fd = openSync(file, 'r');
  try {
    const text = head.subarray(0, readSync(fd, head, 0, head.byteLength, 0)).toString('latin1');
    return text.includes('@conductor-run/conductor') || text.includes(path.join('apps', 'conductor', 'src'));
  } finally {
    closeSync(fd);
  }
}

function ownRoot(): string {
  return path.dirname(path.dirname(import.meta.dirname));
}

async function gitVersion(env: CheckOptions['io']['env']): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('git', ['--version'], { env })).stdout;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Wall clock against monotonic clock, and against the file system's. */
async function checkClock({ io, config }: CheckOptions): Promise<Finding> {
  const { clock } = io;
  const [wallMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
  await clock.sleep(CLOCK_WATCH_MS);
  const jumpMs = Math.abs(clock.nowMs() - wallMs - (clock.monotonicMs() - monotonicMs));
  ensureStateDir(config.settings.stateDir);
  const folder = mkdtempSync(path.join(config.settings.stateDir, 'doctor-'));
  try {
    const file = path.join(folder, 'now');
    writeFileSync(file, '');
    const skewMs = Math.abs(statSync(file).mtimeMs - clock.nowMs());
    const detail = `jumped ${formatDuration(jumpMs)} in ${formatDuration(CLOCK_WATCH_MS)}, ${formatDuration(skewMs)} from that of the disk`;
    const isSteady = jumpMs < MAX_JUMP_MS && skewMs < MAX_SKEW_MS;
    if (isSteady) return { status: 'ok', detail };
    const mend = 'Let one service keep the time (chrony, timesyncd), slewing instead of stepping.';
    return { status: 'warn', detail, mend };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function checkDisk({ config }: CheckOptions): Promise<Finding> {
  const { stateDir } = config.settings;
  ensureStateDir(stateDir);
  const { bavail, bsize } = await statfs(stateDir);
  const free = bavail * bsize;
  const detail = `${formatBytes(free)} free at ${stateDir}`;
  const mend =
    'Make room, or prune: conductor runs prune, conductor worktrees prune, retainBytes in the config.';
  if (free < BAD_FREE_BYTES) return { status: 'bad', detail, mend };
  return free < WARN_FREE_BYTES ? { status: 'warn', detail, mend } : { status: 'ok', detail };
}

function checkStateDir({ config }: CheckOptions): Finding {
  const { stateDir } = config.settings;
  ensureStateDir(stateDir);
  const mode = statSync(stateDir).mode & 0o777;
  const detail = `${stateDir}, mode ${mode.toString(8).padStart(4, '0')}`;
  if ((mode & 0o077) === 0) return { status: 'ok', detail };
  return { status: 'warn', detail, mend: `Others can look into it: chmod 700 ${stateDir}` };
}

/** The secret of the HTTP API, as far as it is kept in a file. */
function checkToken({ config }: CheckOptions): Finding {
  const { sharedToken, sharedTokenFile } = config.settings;
  if (sharedToken !== '') return { status: 'ok', detail: `configured by ${config.sources.sharedToken}` };
  try {
    if (readToken(config) === undefined) {
      const detail = `${sharedTokenFile} is not there yet`;
      if (config.sources.sharedTokenFile === 'default') return { status: 'ok', detail };
      const mend = `Make it: (umask 077; openssl rand -hex 32 > ${sharedTokenFile})`;
      return { status: 'bad', detail, mend };
    }
  } catch (error) {
    if (!(error instanceof ConductorError)) throw error;
    const mend = error.hint ?? `See that you can read ${sharedTokenFile}.`;
    return { status: 'bad', detail: error.message, mend };
  }
  const mode = statSync(sharedTokenFile).mode & 0o777;
  const detail = `${sharedTokenFile}, mode ${mode.toString(8).padStart(4, '0')}`;
  if ((mode & 0o077) === 0) return { status: 'ok', detail };
  return { status: 'bad', detail, mend: `Others can read it: chmod 600 ${sharedTokenFile}` };
}

const CLOCK_WATCH_MS = 250;
const MAX_JUMP_MS = 50;
const MAX_SKEW_MS = 2_000;
const BAD_FREE_BYTES = 100 * 1_048_576;
const WARN_FREE_BYTES = 1_024 * 1_048_576;
