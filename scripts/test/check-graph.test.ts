import { describe, expect, test } from 'vitest';
import { findGraphProblems, importedPackages, parseLayerTable } from '../check-graph.ts';
import { type Files, makeFolder } from './fixtures.ts';

const table = `# Architecture
| layer | package | owns | may import |
| --- | --- | --- | --- |
| L0 | \`clock\` | time | – |
| L1 | \`store\` | rows | clock |
| L3 | \`apps/app\` | wiring | all |

text after`;

/** A workspace that passes; each test breaks one thing. */
function setup(broken: Files = {}): string {
  const dependencies = { '@x/clock': 'workspace:^' };
  return makeFolder({
    'ARCHITECTURE.md': table,
    'tsconfig.build.json': { references: [{ path: 'packages/clock' }, { path: 'packages/store' }] },
    'packages/clock/package.json': { name: '@x/clock', version: '0.0.0' },
    'packages/clock/tsconfig.json': {},
    'packages/clock/turbo.json': { tags: ['l0'] },
    'packages/store/package.json': { name: '@x/store', version: '0.0.0', dependencies },
    'packages/store/tsconfig.json': { references: [{ path: '../clock' }] },
    'packages/store/turbo.json': { tags: ['l1'] },
    'packages/store/src/index.ts': `import { now } from '@x/clock';\nexport { now };`,
    'apps/app/package.json': { name: '@x/app', version: '0.0.0', dependencies },
    'apps/app/turbo.json': { tags: ['l3'] },
    ...broken,
  });
}

describe('findGraphProblems', () => {
  test('given a workspace that agrees with its table, when checked, it finds nothing', () => {
    expect(findGraphProblems(setup())).toEqual([]);
  });

  test('given a package without a line in the table, when checked, it names the package', () => {
    const root = setup({ 'packages/extra/package.json': { name: '@x/extra', version: '0.0.0' } });

    expect(findGraphProblems(root)).toEqual([
      'packages/extra is not in the table of ARCHITECTURE.md: add its line',
    ]);
  });

  test('given a dependency that points up, when checked, it says what the table allows', () => {
    const dependencies = { '@x/store': 'workspace:^' };
    const root = setup({
      'packages/clock/package.json': { name: '@x/clock', version: '0.0.0', dependencies },
      'packages/clock/tsconfig.json': { references: [{ path: '../store' }] },
    });

    expect(findGraphProblems(root)).toEqual([
      'packages/clock/package.json depends on @x/store, but ARCHITECTURE.md lets it import nothing',
    ]);
  });

  test('given a table that lets a package import up, when checked, it refuses the table', () => {
    const root = setup({ 'ARCHITECTURE.md': table.replace('| time | – |', '| time | store |') });

    expect(findGraphProblems(root)).toEqual(['ARCHITECTURE.md lets "clock" (L0) import up: "store" is L1']);
  });

  test('given a workspace package taken from the registry, when checked, it asks for the workspace', () => {
    const dependencies = { '@x/clock': '^0.1.0' };
    const root = setup({
      'packages/store/package.json': { name: '@x/store', version: '0.0.0', dependencies },
    });

    expect(findGraphProblems(root)).toEqual([
      'packages/store/package.json takes @x/clock as "^0.1.0", expected "workspace:^"',
    ]);
  });

  test('given an import that package.json does not declare, when checked, it names the file', () => {
    const root = setup({ 'packages/clock/src/index.ts': `export * from '@x/store';` });

    expect(findGraphProblems(root)).toEqual([
      'packages/clock/src/index.ts imports @x/store, which is not in the dependencies of packages/clock/package.json',
    ]);
  });

  test('given a source that imports what is only a devDependency, when checked, it names the file', () => {
    const root = setup({
      'packages/clock/package.json': {
        name: '@x/clock',
        version: '0',
        devDependencies: { '@x/store': 'workspace:^' },
      },
      'packages/clock/src/index.ts': `export * from '@x/store';`,
      'packages/clock/test/a.test.ts': `import '@x/store';`,
    });

    expect(findGraphProblems(root)).toHaveLength(1);
  });

  test('given a missing and a needless project reference, when checked, it names both', () => {
    const root = setup({ 'packages/store/tsconfig.json': { references: [{ path: '../other' }] } });

    expect(findGraphProblems(root)).toEqual([
      'packages/store/tsconfig.json does not reference "clock", which package.json depends on',
      'packages/store/tsconfig.json references "other", which package.json does not depend on',
    ]);
  });

  test('given a package the build does not reference, when checked, it says so', () => {
    const root = setup({ 'tsconfig.build.json': { references: [{ path: 'packages/store' }] } });

    expect(findGraphProblems(root)).toEqual(['tsconfig.build.json does not reference "packages/clock"']);
  });

  test('given a boundary tag of another layer, when checked, it says which tag the table means', () => {
    const root = setup({ 'packages/store/turbo.json': { tags: ['l0'] } });

    expect(findGraphProblems(root)).toEqual([
      'packages/store/turbo.json has the tags ["l0"], expected ["l1"] as in ARCHITECTURE.md',
    ]);
  });
});

describe('parseLayerTable', () => {
  test('given a document without the table, when parsed, it throws rather than allow everything', () => {
    expect(() => parseLayerTable('# Architecture')).toThrow(/^Cannot read ARCHITECTURE.md: it has no table/);
  });
});

describe('importedPackages', () => {
  test('given every way to import, when read, it names each package once and no relative file', () => {
    const source = `import { a } from '@x/a/testing';
      import type { b } from 'b';
      import 'c';
      export { d } from '@x/d';
      const e = await import('e');
      type F = import('f').F;
      import './own.ts';
      import { a2 } from '@x/a';`;

    expect(importedPackages(source)).toEqual(['@x/a', 'b', 'c', '@x/d', 'e', 'f']);
  });
});
