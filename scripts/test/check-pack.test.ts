import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  findBudgetProblems,
  findManifestProblems,
  findPackProblems,
  summarizeEntries,
} from '../check-pack.ts';
import { openTarball } from '../tarballs.ts';
import { listPackages } from '../workspace.ts';
import { type Files, addFiles, makeFolder } from './fixtures.ts';

const manifest = {
  name: '@conductor-run/a',
  version: '0.1.0',
  license: 'Apache-2.0',
  type: 'module',
  engines: { node: '^22.18 || >=24' },
  exports: {
    '.': { types: './dist/index.d.ts', default: './dist/index.js' },
    './package.json': './package.json',
  },
};

/** A package as it lies in a tarball, packed; each test breaks one thing in it. */
function setup(broken: Files = {}) {
  const content: Files = {
    LICENSE: 'free',
    'README.md': '# a',
    'package.json': manifest,
    'dist/index.js': 'export const answer = 42;\n',
    'dist/index.d.ts': 'export declare const answer: number;\n',
    ...broken,
  };
  const packed = Object.entries(content).map(([path, text]) => [`package/${path}`, text] as const);
  const snapshot = 'LICENSE\nREADME.md\ndist/index.{d.ts,js}\npackage.json\n';
  const root = makeFolder({
    ...Object.fromEntries(packed),
    'packages/a/package.json': manifest,
    'packages/a/etc/files.txt': snapshot,
  });
  const file = join(root, 'a.tgz');
  execFileSync('tar', ['-czf', file, '-C', root, ...packed.map(([path]) => path)]);
  const [workspacePackage] = listPackages(root);
  if (workspacePackage === undefined) throw new Error('Cannot set up: the fixture has no package');
  return { root, tarball: openTarball(workspacePackage, file) };
}

describe('findPackProblems', () => {
  test('given a sound tarball, when checked, it finds nothing', async () => {
    expect(await findPackProblems(setup().tarball, false)).toEqual([]);
  });

  test('given a file nobody meant to send, when checked, it shows it, and the update accepts it', async () => {
    const { tarball } = setup({ 'dist/secret.txt': '' });

    const problems = await findPackProblems(tarball, false);
    await findPackProblems(tarball, true);

    expect(problems).toEqual([
      expect.stringMatching(/^packages\/a: the tarball's files are not.*\n  \+ dist\/secret.txt$/),
    ]);
    expect(await findPackProblems(tarball, false)).toEqual([]);
  });

  test('given an export without its file, when checked, publint says so', async () => {
    const exports = { ...manifest.exports, './testing': './dist/testing.js' };
    const { tarball } = setup({ 'package.json': { ...manifest, exports } });

    expect(await findPackProblems(tarball, false)).toContainEqual(
      expect.stringMatching(/^packages\/a: publint: .*testing/),
    );
  });

  test('given types that only a bundler can resolve, when checked, attw says so', async () => {
    const { tarball } = setup({ 'dist/index.d.ts': `export * from './answer';\n` });

    expect(await findPackProblems(tarball, false)).toContainEqual(
      expect.stringMatching(/^packages\/a: attw: /),
    );
  });

  test('given a tarball without README, when checked, it says so', async () => {
    const { root, tarball } = setup();
    addFiles(root, { 'packages/a/etc/files.txt': 'LICENSE\ndist/index.{d.ts,js}\npackage.json\n' });
    const entries = tarball.entries.filter((entry) => entry !== 'README.md');

    expect(await findPackProblems({ ...tarball, entries }, false)).toEqual([
      'packages/a: the tarball has no README.md',
    ]);
  });
});

describe('findManifestProblems', () => {
  test('given what only works here or breaks a promise, when checked, it names each', () => {
    const problems = findManifestProblems({
      name: 'a',
      version: '1.0.0',
      license: 'MIT',
      engines: { node: '>=20' },
      dependencies: { b: 'workspace:^', c: '^1.0.0' },
    });

    expect(problems).toEqual([
      'depends on b as "workspace:^", which only works in this repository',
      'has the license "MIT", expected "Apache-2.0"',
      'runs on Node ">=20", expected "^22.18 || >=24"',
      'has the version 1.0.0, expected 0.x before 1.0 is decided',
    ]);
  });
});

describe('findBudgetProblems', () => {
  test('given four dependencies of others and one of ours, when checked, only the four count', () => {
    const dependencies = { '@conductor-run/clock': '0', b: '0', c: '0', d: '0' };

    expect(findBudgetProblems({ name: 'a', version: '0', dependencies })).toEqual([]);
    expect(
      findBudgetProblems({ name: 'a', version: '0', dependencies: { ...dependencies, e: '0' } }),
    ).toEqual(['has 4 runtime dependencies (b, c, d, e), expected at most 3']);
  });
});

describe('summarizeEntries', () => {
  test('given the files of one source, when summarized, they share a line', () => {
    const entries = [
      'LICENSE',
      'dist/a.d.ts',
      'dist/a.d.ts.map',
      'dist/a.js',
      'dist/a.js.map',
      'dist/b.node',
    ];

    expect(summarizeEntries(entries)).toEqual(['LICENSE', 'dist/a.{d.ts,d.ts.map,js,js.map}', 'dist/b.node']);
  });
});
