import { describe, expect, test } from 'vitest';
import { findDocProblems } from '../check-docs.ts';
import { readExamples } from '../doc-examples.ts';
import { type Files, linkDependencies, makeFolder } from './fixtures.ts';

const readme = `# a

| code | when | what to do |
| --- | --- | --- |
| \`lost\` | it went | look again |

See [the guide](../../docs/guide.md#first-steps), [above](#a) and [the web](https://example.org).

\`\`\`ts
import { answer } from '@x/a';
const wanted: number = answer;
if (wanted !== 42) throw new Error('wrong');
\`\`\`

\`\`\`text
const broken: = not checked;
\`\`\`
`;

/** A workspace whose documents are true; each test breaks one. */
function setup(broken: Files = {}): string {
  const compilerOptions = {
    strict: true,
    module: 'nodenext',
    allowImportingTsExtensions: true,
    noEmit: true,
  };
  const root = makeFolder({
    LICENSE: 'free',
    'tsconfig.test.json': { compilerOptions },
    'README.md': `# Root\n\n\`\`\`ts\nimport { answer } from '@x/a';\nanswer.toFixed();\n\`\`\`\n`,
    'docs/guide.md': '# Guide\n\n## First `steps`\n',
    'packages/a/package.json': {
      name: '@x/a',
      version: '0.0.0',
      type: 'module',
      exports: { '.': './src/index.ts' },
    },
    'packages/a/src/index.ts': 'export const answer: number = 42;',
    'packages/a/src/errors.ts': `/** Not a 'code'. */\nexport type AErrorCode =\n  // Nor 'this'.\n  | 'lost';`,
    'packages/a/LICENSE': 'free',
    'packages/a/README.md': readme,
    ...broken,
  });
  linkDependencies(root);
  return root;
}

describe('findDocProblems', () => {
  test('given documents that are true, when checked, it finds nothing', () => {
    expect(findDocProblems(setup())).toEqual([]);
  });

  test('given a package without README and with another LICENSE, when checked, it says so', () => {
    const root = setup({
      'packages/b/package.json': { name: '@x/b', version: '0.0.0' },
      'packages/b/LICENSE': 'mine',
    });

    expect(findDocProblems(root)).toEqual([
      'packages/b has no README.md',
      'packages/b/LICENSE is not the LICENSE of the repository: run pnpm run docs:update',
    ]);
  });

  test('given a code the table lacks and one it made up, when checked, it names both', () => {
    const root = setup({ 'packages/a/src/errors.ts': `export type AErrorCode = 'found' | 'closed';` });

    expect(findDocProblems(root)).toEqual([
      'packages/a/README.md does not explain the error code "found" of AErrorCode',
      'packages/a/README.md does not explain the error code "closed" of AErrorCode',
      'packages/a/README.md explains "lost", which AErrorCode does not have',
    ]);
  });

  test('given links to nowhere, when checked, it names the document and the link', () => {
    const root = setup({
      'docs/guide.md': '# Guide\n\n## Last steps\n\n[gone](gone.md) `[not](a-link.md)`\n',
    });

    expect(findDocProblems(root)).toEqual([
      'docs/guide.md links to "gone.md", which does not exist',
      'packages/a/README.md links to "../../docs/guide.md#first-steps", which has no such heading',
    ]);
  });

  test('given an example that does not compile, when checked, it names the document and the line in it', () => {
    const root = setup({ 'packages/a/README.md': readme.replace('wanted: number', 'wanted: string') });

    expect(findDocProblems(root)).toEqual([
      expect.stringMatching(/^examples do not compile:\n.*packages\/a\/README\.md:11 /),
    ]);
  });

  test('given an example with syntax that Node 22 lacks, when checked, it says so', () => {
    const code = 'using a = { [Symbol.dispose]() {} };\nvoid a;';
    const root = setup({ 'docs/guide.md': `# Guide\n\n## First steps\n\n\`\`\`ts\n${code}\n\`\`\`\n` });

    expect(findDocProblems(root)).toContain(
      'docs/guide.md:5 the example says `using`, which Node 22 cannot run: close it by hand',
    );
  });

  test('given an example that throws, when checked, it shows what it said', () => {
    const root = setup({ 'packages/a/README.md': readme.replace('!== 42', '!== 43') });

    expect(findDocProblems(root)).toEqual([
      expect.stringMatching(/^packages\/a\/README\.md:9 the example does not run:\n[^]*Error: wrong/),
    ]);
  });
});

describe('readExamples', () => {
  test('given fences of several kinds, when read, it takes the ts ones with their lines', () => {
    const root = makeFolder({
      'a.md': '```sh\nls\n```\n\n```ts\n1;\n```\n\n```tsx\n2;\n```\n\n```ts\n3;\n```\n',
    });

    const examples = readExamples(`${root}/a.md`);

    expect(examples.map(({ line, code }) => [line, code])).toEqual([
      [5, '1;\n'],
      [13, '3;\n'],
    ]);
  });
});
