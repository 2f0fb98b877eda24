import { describe, expect, test } from 'vitest';
import { blankCommentsAndStrings, findBans } from '../check-bans.ts';
import { makeFolder } from './fixtures.ts';

// Put together here, so that this file is not a finding itself.
const laterNotes = [
  ['TO', 'DO'],
  ['FIX', 'ME'],
].map((halves) => `// ${halves.join('')} later`);

const switchedOff = (what: string, how: string): string => [what, how].join('.');

describe('findBans', () => {
  test.for([
    ['packages/a/src/a.ts', 'const now = new Date();', /^packages\/a\/src\/a.ts:2 reads the ambient clock/],
    ['apps/a/src/a.ts', 'f(value as unknown as Row);', /^apps\/a\/src\/a.ts:2 says "as unknown as"/],
    [
      'packages/a/test/a.test.ts',
      switchedOff('test', 'only'),
      /a.test.ts:2 switches a test off or singles it out/,
    ],
    ['packages/a/test/a.test.ts', switchedOff('describe', 'skip'), /a.test.ts:2 switches a test off/],
    ['apps/a/test/a.test.ts', switchedOff('it', 'todo'), /a.test.ts:2 switches a test off/],
    ['scripts/test/a.test.ts', switchedOff('test', 'skipIf'), /a.test.ts:2 switches a test off/],
    [
      'packages/a/test/fixtures/a.ts',
      'await using file = open();',
      /^packages\/a\/test\/fixtures\/a.ts:2 says "using"/,
    ],
    ['packages/a/src/a.ts', laterNotes[0], /a.ts:2 leaves work for later/],
    ['packages/a/test/a.ts', laterNotes[1], /a.ts:2 leaves work for later/],
  ] as const)('given %s with %s, when checked, it says what to do', ([file, line, message]) => {
    const problems = findBans(makeFolder({ [file]: `// first line\n${line}\n` }));

    expect(problems).toEqual([expect.stringMatching(message)]);
  });

  test('given the banned words where they do no harm, when checked, it finds nothing', () => {
    const root = makeFolder({
      'packages/a/src/a.ts': `// new Date() is banned\nconst text = 'as unknown as';\nnew Date(clock.nowMs());\n`,
      'packages/a/test/a.test.ts': `test('it.only says test.skip', () => { new Date(); });\n`,
      'packages/a/dist/a.js': 'new Date();',
    });

    expect(findBans(root)).toEqual([]);
  });
});

describe('blankCommentsAndStrings', () => {
  test('given comments and strings, when blanked, every offset and line stays where it was', () => {
    const text = `const a = 'b'; // c\n/* d\ne */ const f = "g";\nconst u = \`http://\${h}\`;`;

    const blanked = blankCommentsAndStrings(text);

    expect(blanked).toBe(`const a =    ;     \n    \n     const f =    ;\nconst u = \`http://\${h}\`;`);
  });
});
