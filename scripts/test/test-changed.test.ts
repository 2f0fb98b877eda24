import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fingerprintWorkspace, testChanged, type Fingerprints } from '../test-changed.ts';
import { readJson, repositoryRoot } from '../workspace.ts';
import { addFiles, makeFolder, run } from './fixtures.ts';

/** Runs with the fingerprints a test sets, and keeps which folders were asked for. */
function setup() {
  const recordFile = join(makeFolder({}), 'temp/green.json');
  const ran: (readonly string[])[] = [];
  return {
    ran,
    recordFile,
    run: (fingerprints: Fingerprints, options: { passes?: boolean; editedTo?: Fingerprints } = {}) => {
      const answers = [fingerprints, options.editedTo ?? fingerprints];
      return testChanged({
        recordFile,
        fingerprint: () => answers.shift() ?? {},
        runTests: (folders) => ran.push(folders) > 0 && (options.passes ?? true),
        print: () => undefined,
      });
    },
  };
}

describe('testChanged', () => {
  test('given nothing is known, it runs everything; then nothing, until a folder changes', () => {
    const { run, ran } = setup();

    const answers = [run({ a: '1', b: '1' }), run({ a: '1', b: '1' }), run({ a: '1', b: '2' })];

    expect(answers).toEqual([true, true, true]);
    expect(ran).toEqual([['a', 'b'], ['b']]);
  });

  test('given failing tests, they are run again although nothing changed', () => {
    const { run, ran } = setup();
    run({ a: '1', b: '1' });

    expect(run({ a: '1', b: '2' }, { passes: false })).toBe(false);
    run({ a: '1', b: '2' });

    expect(ran).toEqual([['a', 'b'], ['b'], ['b']]);
  });

  test('given a folder that is edited while its tests run, it is not known to be green, even when taken back', () => {
    const { run, ran } = setup();
    run({ a: '1', b: '1' }, { editedTo: { a: '1', b: '2' } });

    run({ a: '1', b: '1' });

    expect(ran).toEqual([['a', 'b'], ['b']]);
  });

  test('given a torn record, everything runs', () => {
    const { run, ran, recordFile } = setup();
    run({ a: '1' });
    addFiles(recordFile.replace('/green.json', ''), { 'green.json': '{"a":' });

    run({ a: '1' });

    expect(ran).toEqual([['a'], ['a']]);
  });
});

describe('fingerprintWorkspace', () => {
  test.for([
    ['a change', 'index.ts'],
    ['a new file', 'new.ts'],
  ])('given %s, its folder, those that depend on it and the scripts have other fingerprints', ([, file]) => {
    const root = makeWorkspace();
    const before = fingerprintWorkspace(root);

    addFiles(root, { [`packages/clock/src/${file}`]: 'export const now = 2;' });

    expect(changes(before, fingerprintWorkspace(root))).toEqual([
      'packages/clock',
      'packages/store',
      'scripts',
    ]);
  });

  test.for(['pnpm-lock.yaml', 'vitest.config.ts', 'examples/steps/step.sh'])(
    'given a change of %s, every folder has another fingerprint',
    (file) => {
      const root = makeWorkspace();
      const before = fingerprintWorkspace(root);

      addFiles(root, { [file]: `lockfileVersion: '9.0'\n# changed\n` });

      expect(changes(before, fingerprintWorkspace(root))).toEqual(Object.keys(before).toSorted());
    },
  );
});

function changes(before: Fingerprints, after: Fingerprints): readonly string[] {
  return Object.keys(after)
    .filter((folder) => after[folder] !== before[folder])
    .toSorted();
}

/** `store` depends on `clock`, `paper` on nothing; with the turbo.json of this repository. */
function makeWorkspace(): string {
  const root = makeFolder({
    'package.json': {
      name: 'root',
      private: true,
      packageManager: 'pnpm@12.21.0',
      scripts: { 'test:run': 'true' },
    },
    'pnpm-workspace.yaml': 'packages:\n  - packages/*\n',
    'pnpm-lock.yaml': `lockfileVersion: '9.0'\n`,
    'turbo.json': readJson(join(repositoryRoot, 'turbo.json')) as object,
    'vitest.config.ts': '',
    'packages/clock/package.json': { name: 'clock', version: '1.0.0' },
    'packages/clock/src/index.ts': 'export const now = 1;',
    'packages/store/package.json': {
      name: 'store',
      version: '1.0.0',
      dependencies: { clock: 'workspace:^' },
    },
    'packages/paper/package.json': { name: 'paper', version: '1.0.0' },
  });
  for (const args of [
    ['init', '--quiet'],
    ['add', '.'],
  ])
    run('git', args, root);
  return root;
}
