// `pnpm run check:bans`: what the house forbids and oxlint has no rule for.
// The patterns look at code with its comments and string contents blanked out, except where a comment is the point.

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { report } from './report.ts';
import { listFiles, repositoryRoot } from './workspace.ts';

interface Ban {
  readonly pattern: RegExp;
  readonly where: readonly string[];
  /** Where to look: `code` has comments and strings blanked, `text` is the file as it is. */
  readonly in: 'code' | 'text';
  readonly message: string;
}

const sources = ['{packages,apps}/*/{src,demo}/**/*.ts'];
const tests = ['{packages,apps}/*/test/**/*.ts', 'scripts/test/**/*.ts'];
const everything = [
  ...sources,
  ...tests,
  '{packages,apps}/*/bench/**/*.ts',
  'examples/**/*.ts',
  'scripts/*.{ts,mjs}',
];

const bans: readonly Ban[] = [
  {
    pattern: /\bnew Date\(\s*\)/g,
    where: ['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
    in: 'code',
    message: 'reads the ambient clock with new Date(): take a Clock and pass its nowMs()',
  },
  {
    pattern: /\bas unknown as\b/g,
    where: everything,
    in: 'code',
    message: 'says "as unknown as": parse the value at the door, or narrow it with a check',
  },
  {
    pattern: /^[ \t]*(?:await )?using \w+ =/gm,
    where: ['{packages,apps}/*/test/fixtures/**/*.{ts,mjs}'],
    in: 'code',
    message: 'says "using", which Node 22 cannot run uncompiled: close it by hand',
  },
  {
    pattern: /\b(?:test|it|describe|suite|bench)\s*\.\s*(?:only|skip|todo|skipIf|runIf|fails)\b/g,
    where: tests,
    in: 'code',
    message: 'switches a test off or singles it out: a test runs always or does not exist',
  },
  {
    // Joined so that this file does not find itself. Behind a hash it is a directive of the TAP protocol, which we read.
    pattern: new RegExp(
      `(?<!# )\\b(?:${['TO', 'FIX'].map((start) => `${start}${start === 'TO' ? 'DO' : 'ME'}`).join('|')})\\b`,
      'g',
    ),
    where: everything,
    in: 'text',
    message: 'leaves work for later: do it, or open an issue and say nothing here',
  },
];

/** Finds every banned construct below a workspace root, as `file:line what to do`. */
export function findBans(root: string): readonly string[] {
  return bans.flatMap((ban) =>
    listFiles(root, ban.where).flatMap((file) => {
      const text = readFileSync(file, 'utf8');
      const searched = ban.in === 'code' ? blankCommentsAndStrings(text) : text;
      return [...searched.matchAll(ban.pattern)].map(
        (match) => `${relative(root, file)}:${lineOf(text, match.index)} ${ban.message}`,
      );
    }),
  );
}

/**
 * Replaces comments and the contents of quoted strings by spaces, keeping every line break, so that offsets stay true.
 * A template literal stays: its expressions are code. A regular expression that holds a quote may hide the rest of its
 * line; the bans do not depend on that.
 */
export function blankCommentsAndStrings(text: string): string {
  const tokens = /\/\*[\s\S]*?\*\/|(?<!:)\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g;
  return text.replaceAll(tokens, (token) => token.replaceAll(/[^\n]/g, ' '));
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

if (import.meta.main) report('check:bans', findBans(repositoryRoot));
