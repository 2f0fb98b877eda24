import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listPackages, listPublished, repositoryRoot } from '../workspace.ts';
import { makeFolder } from './fixtures.ts';

describe('listPackages', () => {
  test('given packages and apps, when listed, a folder without package.json is none, and private ones are not published', () => {
    const root = makeFolder({
      'packages/b/package.json': { name: '@x/b', version: '0.1.0' },
      'packages/notes/README.md': '',
      'apps/a/package.json': { name: '@x/a', version: '0.0.0', private: true },
    });

    expect(listPackages(root).map(({ folder, shortName }) => [folder, shortName])).toEqual([
      ['apps/a', 'a'],
      ['packages/b', 'b'],
    ]);
    expect(listPublished(root).map(({ manifest }) => manifest.name)).toEqual(['@x/b']);
  });
});

describe('pnpm-workspace.yaml', () => {
  test('given the Node that pnpm resolves for, when it is compared, it is the pinned one', () => {
    const text = readFileSync(join(repositoryRoot, 'pnpm-workspace.yaml'), 'utf8');

    expect(/^nodeVersion: (\S+)$/m.exec(text)?.[1]).toBe(/^ {2}node: (\d\S*)$/m.exec(text)?.[1]);
  });
});
