import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';
import { compileGlob, isGlobIncluded, matchGlob, type Glob } from '@conductor-run/arcp';

const PAIRS = inject('soak') ? 100_000 : 2_000;
const piece = fc.constantFrom('a', 'b', '/', '*', '**', '/**', '/**/');
const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''));
const WORDS = wordsUpTo(6);

describe('glob', () => {
  test('given random patterns and texts, when matched, the answer is that of the regular expression the rules describe', () => {
    fc.assert(
      fc.property(pattern, fc.constantFrom(...WORDS), (source, text) => {
        expect(matchGlob(globOf(source), text)).toBe(new RegExp(`^${toRegExp(source)}$`).test(text));
      }),
      { numRuns: PAIRS },
    );
  });

  test('given random pairs, when inclusion is claimed, brute force finds no text that only the child matches, and else it mostly finds one', () => {
    let claimed = 0;
    let refused = 0;
    let unproved = 0;
    fc.assert(
      fc.property(pattern, fc.array(pattern, { minLength: 1, maxLength: 2 }), (child, parents) => {
        const inner = globOf(child);
        const outer = parents.map(globOf);
        const isIncluded = isGlobIncluded(inner, outer);
        const witness = WORDS.find(
          (text) => matchGlob(inner, text) && !outer.some((glob) => matchGlob(glob, text)),
        );

        expect(isIncluded && witness !== undefined).toBe(false);
        if (isIncluded) claimed += 1;
        else if (witness === undefined) unproved += 1;
        else refused += 1;
      }),
      { numRuns: PAIRS },
    );

    // The decision is exact; what brute force cannot show needs a longer text than it tries.
    expect(claimed).toBeGreaterThan(PAIRS / 50);
    expect(refused).toBeGreaterThan(PAIRS / 50);
    expect(unproved).toBeLessThan(PAIRS / 10);
  });
});

function globOf(source: string): Glob {
  const glob = compileGlob(source);
  if (glob === undefined) throw new Error(`Cannot compile "${source}"`);
  return glob;
}

/** The rules once more, in another notation. */
function toRegExp(source: string): string {
  if (source === '') return '';
  if (source === '/**') return '(?:/[^]*)?';
  if (source.startsWith('/**/')) return `/(?:[^]*/)?${toRegExp(source.slice(4))}`;
  if (source.startsWith('**')) return `[^]*${toRegExp(source.slice(2))}`;
  return `${source.startsWith('*') ? '[^/]*' : source.charAt(0)}${toRegExp(source.slice(1))}`;
}

function wordsUpTo(length: number): readonly string[] {
  let last = [''];
  const words = [''];
  for (let at = 0; at < length; at += 1) {
    last = last.flatMap((word) => ['a', 'b', '/', 'c'].map((letter) => word + letter));
    if (at < 4) words.push(...last);
    else words.push(...last.filter((_, index) => index % 11 === 0));
  }
  return words;
}
