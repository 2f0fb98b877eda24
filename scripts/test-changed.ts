// `pnpm run test:changed`: the tests of what is not known to be green as it is now. `pnpm run test:run` runs them all.
//
// A folder is known to be green when its tests passed on this machine with the very same files: its own, those of every
// workspace package below it, the lockfile and the Node. turbo hashes them (turbo.json); its `transit` task is nothing but
// that hash. What is remembered lies in temp/, so a clean clone, and with it CI, runs every test.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findTool } from './pnpm.ts';
import { repositoryRoot } from './workspace.ts';

/** What the tests of a folder depend on, as one word, by folder. */
export type Fingerprints = Readonly<Record<string, string>>;

/** One run over what changed. */
export interface ChangedOptions {
  /** Remembers across runs; need not exist, and may be deleted at any time. */
  readonly recordFile: string;
  /** Asked before the tests and after them: what was edited meanwhile is not green. */
  readonly fingerprint: () => Fingerprints;
  /** Runs the tests of some folders; true when all of them passed. */
  readonly runTests: (folders: readonly string[]) => boolean;
  readonly print: (text: string) => void;
}

/** Runs the tests of the folders that changed since they were green, and returns whether everything is green now. */
export function testChanged(options: ChangedOptions): boolean {
  const { recordFile, fingerprint, runTests, print } = options;
  const green = readRecord(recordFile);
  const before = fingerprint();
  const [changed, known] = partition(Object.keys(before), (folder) => green[folder] !== before[folder]);
  if (known.length > 0) print(`Unchanged since they were green: ${known.join(', ')}\n`);
  if (changed.length === 0) return true;
  if (!runTests(changed)) return false;

  const after = fingerprint();
  const [kept, edited] = partition(Object.keys(before), (folder) => after[folder] === before[folder]);
  if (edited.length > 0)
    print(`Edited while their tests ran, so not known to be green: ${edited.join(', ')}\n`);
  mkdirSync(dirname(recordFile), { recursive: true });
  writeFileSync(
    recordFile,
    JSON.stringify(Object.fromEntries(kept.map((folder) => [folder, before[folder]]))),
  );
  return true;
}

function readRecord(file: string): Fingerprints {
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Fingerprints;
  } catch {
    // Torn by a kill while it was written: then nothing is known to be green.
    return {};
  }
}

function partition(
  names: readonly string[],
  test: (name: string) => boolean,
): readonly [readonly string[], readonly string[]] {
  return [names.filter((name) => test(name)), names.filter((name) => !test(name))];
}

/** The hash of each package with everything below it; of `scripts`, whose tests look at the whole repository, that of all files. */
export function fingerprintWorkspace(root: string): Fingerprints {
  const output = execFileSync(findTool('turbo'), ['run', 'transit', 'test:run', '--dry=json'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { tasks } = JSON.parse(output) as {
    tasks: readonly { readonly hash: string; readonly directory: string }[];
  };
  const machine = `${process.version} ${process.platform}-${process.arch} soak=${process.env['SOAK'] ?? ''}`;
  return Object.fromEntries(
    tasks.map(({ hash, directory }) => [directory === '' ? 'scripts' : directory, `${hash} ${machine}`]),
  );
}

if (import.meta.main) {
  const passed = testChanged({
    recordFile: join(repositoryRoot, 'temp', 'green-tests.json'),
    fingerprint: () => fingerprintWorkspace(repositoryRoot),
    runTests(folders) {
      const filters = folders.map((folder) => `${folder}/test/`);
      const { status } = spawnSync(findTool('vitest'), ['run', ...filters], {
        cwd: repositoryRoot,
        stdio: 'inherit',
      });
      return status === 0;
    },
    print: (text) => void process.stdout.write(text),
  });
  if (!passed) process.exitCode = 1;
}
