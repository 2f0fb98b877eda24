import { describe, expect, test } from 'vitest';
import { parts, verify } from '../verify.ts';
import { readJson, repositoryRoot } from '../workspace.ts';
import { makeFolder } from './fixtures.ts';

function setup(scripts: Readonly<Record<string, string>>, verbose = false) {
  let printed = '';
  const root = makeFolder({ 'package.json': { scripts } });
  const print = (text: string): void => void (printed += text);
  return {
    verify: (selected: readonly string[]) => verify({ root, selected, verbose, print }),
    printed: () => printed,
  };
}

describe('verify', () => {
  test('given a failing part in the middle, when run, it runs the rest and shows the output of the failing one only', async () => {
    const { verify, printed } = setup({
      a: 'echo quiet',
      b: 'echo loud; echo louder >&2; exit 3',
      c: 'true',
    });

    const results = await verify(['a', 'b', 'c']);

    expect(results.map(({ part, passed }) => [part, passed])).toEqual([
      ['a', true],
      ['b', false],
      ['c', true],
    ]);
    expect(printed()).toContain('      loud\n      louder\n');
    expect(printed()).not.toContain('quiet');
    expect(printed()).toMatch(
      /verify: 2 of 3 parts passed in .* s; failed: b \(run one alone: pnpm run b\)\n$/,
    );
  });

  test('given a part that is killed, when run, it counts as failed and names the signal', async () => {
    const { verify, printed } = setup({ a: 'kill -9 $$' });

    const [result] = await verify(['a']);

    expect(result?.passed).toBe(false);
    expect(printed()).toContain('ended by SIGKILL');
  });

  test('given verbose, when a part passes, it shows its output too', async () => {
    const { verify, printed } = setup({ a: 'echo details' }, true);

    await verify(['a']);

    expect(printed()).toContain('      details\n');
  });

  test('given a part without a script, when run, it refuses before anything runs', async () => {
    const { verify, printed } = setup({ a: 'true' });

    await expect(verify(['a', 'gone'])).rejects.toThrow(
      'Cannot verify "gone": package.json has no such script',
    );
    expect(printed()).toBe('');
  });
});

describe('parts', () => {
  test('given this repository, when listed, every check it has a script for is a part', () => {
    const { scripts } = readJson(`${repositoryRoot}/package.json`) as { scripts: Record<string, string> };
    const checks = Object.keys(scripts).filter((name) => name.startsWith('check:'));

    expect(parts).toEqual(expect.arrayContaining([...checks, 'build', 'typecheck', 'lint', 'test:changed']));
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining([...parts]));
  });
});
