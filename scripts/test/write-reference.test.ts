import { describe, expect, test } from 'vitest';
import { findReferenceProblems } from '../write-reference.ts';
import { makeFolder } from './fixtures.ts';

describe('check:reference', () => {
  test('given a page that lacks a line or is not there, it names the line and how to write it; updated, it is current', () => {
    const root = makeFolder({ 'docs/reference.md': 'one\n' });

    const stale = findReferenceProblems(root, 'one\ntwo\n', false);
    const absent = findReferenceProblems(makeFolder({}), 'one\n', false);
    const updated = findReferenceProblems(root, 'one\ntwo\n', true);

    expect(stale).toEqual([
      'docs/reference.md is not what the program says; it lacks "two": run pnpm run reference:update',
    ]);
    expect(absent).toHaveLength(1);
    expect(updated).toEqual([]);
    expect(findReferenceProblems(root, 'one\ntwo\n', false)).toEqual([]);
  });
});
