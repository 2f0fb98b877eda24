import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findApiProblems } from '../check-api.ts';
import { addFiles, linkDependencies, makeFolder } from './fixtures.ts';

const documented = '/** The answer. */\nexport declare const answer: number;\n';

/** A built package with an accepted report. */
function setup() {
  const exports = {
    '.': './src/index.ts',
    './testing': './src/testing.ts',
    './package.json': './package.json',
  };
  const root = makeFolder({
    'packages/a/package.json': { name: '@x/a', version: '0.0.0', type: 'module', exports },
    'packages/a/dist/index.d.ts': documented,
    'packages/a/dist/testing.d.ts': '/** Checks it. */\nexport declare function check(): void;\n',
  });
  linkDependencies(root);
  expect(findApiProblems(root, true)).toEqual([]);
  const build = (declarations: string): void =>
    addFiles(root, { 'packages/a/dist/index.d.ts': declarations });
  return { root, build };
}

describe('findApiProblems', () => {
  test('given accepted reports, when the API is the same, it finds nothing and has a report for each entry point', () => {
    const { root } = setup();

    expect(findApiProblems(root, false)).toEqual([]);
    expect(readFileSync(join(root, 'packages/a/etc/a.api.md'), 'utf8')).toContain('const answer: number;');
    expect(readFileSync(join(root, 'packages/a/etc/a-testing.api.md'), 'utf8')).toContain(
      'function check(): void;',
    );
  });

  test('given a changed type, when checked, it shows the change and how to accept it', () => {
    const { root, build } = setup();

    build(documented.replace('number', 'string'));

    expect(findApiProblems(root, false)).toEqual([
      'packages/a/etc/a.api.md is not the API that was built: run pnpm run api:update and review the diff\n' +
        '  - export const answer: number;\n  + export const answer: string;',
    ]);
  });

  test('given an export without a comment, when checked, it asks for one', () => {
    const { root, build } = setup();

    build('export declare const answer: number;\n');

    expect(findApiProblems(root, false)).toContainEqual(
      expect.stringMatching(/^packages\/a: .*ae-undocumented/),
    );
  });

  test('given a type that is used but not exported, when checked, it names the type', () => {
    const { root, build } = setup();

    build(
      `interface Hidden { a: 1 }\n/** The answer. */\nexport declare const answer: Hidden;\nexport {};\n`,
    );

    expect(findApiProblems(root, false)).toContainEqual(
      expect.stringMatching(/"Hidden" needs to be exported/),
    );
  });

  test('given a comment with a broken tag, when checked, it says so', () => {
    const { root, build } = setup();

    build('/** The answer.\n * @param a\n */\nexport declare function answer(a: 1): void;\n');

    expect(findApiProblems(root, false)).toContainEqual(
      expect.stringMatching(/tsdoc-param-tag-missing-hyphen/),
    );
  });

  test('given a package that is not built, when checked, it says so', () => {
    const root = makeFolder({
      'packages/a/package.json': { name: '@x/a', version: '0.0.0', exports: { '.': './src/index.ts' } },
    });

    expect(findApiProblems(root, false)).toEqual(['packages/a is not built: run pnpm run build']);
  });

  test('given a report of an entry point that is gone, when checked, it asks to remove it', () => {
    const { root } = setup();
    addFiles(root, { 'packages/a/etc/a-old.api.md': '' });

    expect(findApiProblems(root, false)).toEqual(['packages/a/etc/a-old.api.md belongs to no entry point']);
  });
});
