import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../workspace.ts';
import { type Ended, type Files, addFiles, addPrograms, makeFolder, run } from './fixtures.ts';

/** What stands in for pnpm: writes down each call, and does `body` when it is to run the command itself. */
const fakePnpm = (body: string): string => `
if [ "$1" = --version ]; then echo 12.21.0; exit; fi
echo "$*" >> calls.txt
if [ "$1" = install ]; then mkdir -p packages/a/node_modules/dep; exit; fi
if [ "$3" = build ]; then exit; fi
${body}`;

/** A checkout with one package that has one dependency, and a PATH with nothing but what the test puts there. */
function setup(programs: Readonly<Record<string, string>>, files: Files = {}) {
  const root = makeFolder({
    'package.json': { name: 'root', packageManager: 'pnpm@12.21.0' },
    'pnpm-lock.yaml': '',
    'pnpm-workspace.yaml': '',
    'packages/a/package.json': { name: '@x/a', dependencies: { dep: '1' } },
    ...files,
  });
  const script = join(root, 'scripts/bootstrap.mjs');
  mkdirSync(join(root, 'scripts'));
  copyFileSync(join(repositoryRoot, 'scripts/bootstrap.mjs'), script);
  const { PATH: _, ...env } = addPrograms(root, programs);
  const path = { PATH: `${join(root, 'bin')}:/usr/bin:/bin` };
  const withoutNpm = Object.fromEntries(Object.entries(env).filter(([name]) => !/^p?npm_/.test(name)));
  const baseEnv: NodeJS.ProcessEnv = { ...withoutNpm, ...path };
  return {
    root,
    script,
    env: baseEnv,
    bootstrap: (args: readonly string[], extraEnv: NodeJS.ProcessEnv = {}): Ended =>
      run(process.execPath, [script, ...args], '/', { ...baseEnv, ...extraEnv }),
    calls: (): readonly string[] => readFileSync(join(root, 'calls.txt'), 'utf8').trim().split('\n'),
  };
}

describe('bootstrap', () => {
  test('given a bare checkout, when run, it installs from the lockfile, builds, and passes the arguments on', () => {
    const { bootstrap, calls } = setup({ pnpm: fakePnpm('echo ran') });

    const { status, stdout, stderr } = bootstrap(['test', 'packages/a', '--', '--foo=a b']);

    expect([status, stdout]).toEqual([0, 'ran\n']);
    expect(calls()).toEqual([
      'install --frozen-lockfile --reporter=append-only',
      'run --silent build',
      'run --silent test:run packages/a -- --foo=a b',
    ]);
    expect(stderr).toBe(
      'bootstrap: installing dependencies\nbootstrap: building\nbootstrap: running test packages/a -- --foo=a b\n',
    );
  });

  test('given nothing changed, when run again, it does not install', () => {
    const { bootstrap, calls } = setup({ pnpm: fakePnpm('true') });
    bootstrap(['demo']);

    bootstrap(['demo']);

    expect(calls().filter((call) => call.startsWith('install'))).toHaveLength(1);
  });

  test.for([
    ['the lockfile', (root: string) => writeFileSync(join(root, 'pnpm-lock.yaml'), 'changed')],
    [
      'a package.json',
      (root: string) => addFiles(root, { 'packages/a/package.json': { dependencies: { dep: '2' } } }),
    ],
    ['a new package', (root: string) => addFiles(root, { 'apps/b/package.json': { name: 'b' } })],
    [
      'a removed link',
      (root: string) => rmSync(join(root, 'packages/a/node_modules/dep'), { recursive: true }),
    ],
    ['a torn stamp', (root: string) => writeFileSync(join(root, 'node_modules/.bootstrap.json'), '{"inp')],
  ] as const)('given %s, when run again, it installs again', ([, change]) => {
    const { root, bootstrap, calls } = setup({ pnpm: fakePnpm('true') });
    bootstrap(['demo']);

    change(root);
    bootstrap(['demo']);

    expect(calls().filter((call) => call.startsWith('install'))).toHaveLength(2);
  });

  test('given an install that failed, when run again, it installs again', () => {
    const failOnce = `if [ "$1" = install ] && [ ! -e tried ]; then touch tried; echo 'ERR_PNPM_META_FETCH_FAIL' >&2; exit 1; fi`;
    const { bootstrap } = setup({ pnpm: `${failOnce}${fakePnpm('echo ran')}` });

    const first = bootstrap(['demo']);
    const second = bootstrap(['demo']);

    expect(first.status).toBe(1);
    expect(first.stderr).toContain('pnpm install failed: the npm registry cannot be reached (no answer)');
    expect([second.status, second.stdout]).toEqual([0, 'ran\n']);
  });

  test('given another pnpm on PATH, when run, it brings the pinned one through npx', () => {
    const { root, bootstrap, calls } = setup({
      pnpm: 'echo 9.0.0',
      npx: 'echo "$*" > npx.txt; echo "$PWD/cache:/usr/bin"',
      '../cache/pnpm': fakePnpm('echo ran'),
    });

    const { status, stdout } = bootstrap(['demo']);

    expect([status, stdout]).toEqual([0, 'ran\n']);
    expect(readFileSync(join(root, 'npx.txt'), 'utf8')).toContain('--package=pnpm@12.21.0');
    expect(calls()).toHaveLength(3);
  });

  test('given a command that fails, when run, its exit code is ours', () => {
    const { bootstrap } = setup({ pnpm: fakePnpm('exit 7') });

    expect(bootstrap(['start']).status).toBe(7);
  });

  test('given a build that fails, when run, the command does not run', () => {
    const { bootstrap, calls } = setup({
      pnpm: fakePnpm('true').replace('= build ]; then exit', '= build ]; then exit 2'),
    });

    const { status, stderr } = bootstrap(['start']);

    expect([status, calls().at(-1)]).toEqual([1, 'run --silent build']);
    expect(stderr).toContain('bootstrap: The build failed');
  });

  test('given SIGTERM, when the command runs, the command gets it and we end by the same signal', async () => {
    const { root, script, env } = setup({ pnpm: fakePnpm('echo ready; exec sleep 60') });
    const child = spawn(process.execPath, [script, 'start'], {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(child.stdout, 'data');

    child.kill('SIGTERM');
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];

    expect([code, signal]).toEqual([null, 'SIGTERM']);
  });

  test('given what an outer npm exports, when run, only the settings for reaching a registry get through', () => {
    const { bootstrap } = setup({ pnpm: fakePnpm('env') });

    const { stdout } = bootstrap(['demo'], {
      npm_config_user_agent: 'npm/11',
      npm_config_noproxy: 'localhost',
      npm_lifecycle_event: 'demo',
      npm_config_registry: 'https://registry.example.org/',
    });

    expect(stdout.match(/^p?npm_\w+=.*/gm)?.toSorted()).toEqual([
      'npm_config_noproxy=localhost',
      'npm_config_registry=https://registry.example.org/',
      'pnpm_config_registry=https://registry.example.org/',
    ]);
    expect(stdout).toMatch(/^PATH=.*\/node_modules\/\.bin:/m);
  });
});

describe('bootstrap says in one sentence what to do', () => {
  test('given no network, when npx fails, it names the registry and the code', () => {
    const { bootstrap } = setup({ npx: 'echo "npm error code ENOTFOUND" >&2; exit 1' });

    const { status, stderr } = bootstrap(['demo']);

    expect(status).toBe(1);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(
      'bootstrap: npx could not bring pnpm 12.21.0: the npm registry cannot be reached (ENOTFOUND), so connect to the network, or point npm at a registry or proxy you can reach (npm config set registry URL), and run this again.',
    );
  });

  test('given neither pnpm nor npx, when run, it asks for npm', () => {
    const { bootstrap } = setup({});

    const { status, stderr } = bootstrap(['demo'], { PATH: '/nowhere' });

    expect(status).toBe(1);
    expect(stderr).toMatch(/^bootstrap: npx is not on PATH: it comes with npm, so install npm /);
  });

  test('given half a checkout, when run, it names what is missing', () => {
    const { root, bootstrap } = setup({});
    rmSync(join(root, 'pnpm-lock.yaml'));

    const { status, stderr } = bootstrap(['demo']);

    expect(status).toBe(1);
    expect(stderr).toBe(
      `bootstrap: "${root}" is not a complete checkout (no pnpm-lock.yaml): clone the whole repository and run this there.\n`,
    );
  });

  test('given a folder that cannot be written, when run, it says so before it starts anything', () => {
    const { root, bootstrap } = setup(
      { pnpm: fakePnpm('true') },
      { node_modules: 'a file where the folder should be' },
    );

    const { status, stderr } = bootstrap(['demo']);

    expect(status).toBe(1);
    expect(stderr).toContain(`bootstrap: Cannot write to "${root}" (EEXIST)`);
    expect(existsSync(join(root, 'calls.txt'))).toBe(false);
  });

  test('given no command or an unknown one, when run, it lists the commands', () => {
    const { bootstrap } = setup({});

    expect(bootstrap([]).stderr).toContain('Usage: node scripts/bootstrap.mjs demo | test | start | verify');
    expect(bootstrap(['tset']).status).toBe(1);
  });
});
