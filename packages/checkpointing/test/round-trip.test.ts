/** Nasty contents and names, each captured and brought back from the patch alone and from the ref alone. */
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { expectRoundTrip, MIB, plain, type NastyTree } from './fixtures/nasty-tree.ts';

/** Its patch is compressed and read back several times over, which takes seconds. */
const LARGE_MIB = inject('soak') ? 20 : 3;

const rows: readonly NastyTree[] = [
  { name: 'a clean tree', repo: plain, change: () => undefined },
  {
    name: 'a modified file of the same size and time',
    repo: plain,
    change: (repo) => repo.write({ 'a.txt': 'one\ntwo\nthrEe\n' }),
  },
  {
    name: 'untracked files in new folders',
    repo: plain,
    change: (repo) => repo.write({ 'new/deep/x.txt': 'x\n', 'y.txt': 'no newline at the end' }),
  },
  {
    name: 'binary files with NULs, a large one among them',
    repo: { files: { 'a.bin': Buffer.from([0, 1, 2, 0]), 'big.bin': noise(1) } },
    change: (repo) => repo.write({ 'a.bin': Buffer.from([0, 9, 0, 0]), 'big.bin': noise(LARGE_MIB) }),
  },
  { name: 'a deleted file', repo: plain, change: (repo) => repo.remove('dir/b.txt') },
  {
    name: 'everything deleted',
    repo: plain,
    change: (repo) => repo.remove('dir', 'a.txt'),
  },
  {
    name: 'a renamed file',
    repo: plain,
    change: (repo) => renameSync(join(repo.path, 'a.txt'), join(repo.path, 'dir/z.txt')),
  },
  {
    name: 'a mode change alone, in both directions',
    repo: { files: { 'run.sh': 'echo\n', 'stop.sh': { executable: 'echo\n' } } },
    change: (repo) => repo.write({ 'run.sh': { executable: 'echo\n' }, 'stop.sh': 'echo\n' }),
  },
  {
    name: 'symbolic links, absolute, dangling and retargeted',
    repo: { files: { link: { link: 'a' }, a: 'a', b: 'b' } },
    change: (repo) =>
      repo.write({
        link: { link: 'b' },
        absolute: { link: '/etc/hosts' },
        dangling: { link: 'no/such/thing' },
      }),
  },
  {
    name: 'a file that became a directory, and the reverse',
    repo: plain,
    change: (repo) => {
      repo.remove('a.txt', 'dir');
      repo.write({ 'a.txt/inner.txt': 'inner\n', dir: 'now a file\n' });
    },
  },
  {
    name: 'a directory that became a link to a like directory, and a link that became a directory',
    repo: { files: { 'dir/b.txt': 'b\n', 'other/b.txt': 'b2\n', link: { link: 'other' } } },
    change: (repo) => {
      repo.remove('dir', 'link');
      symlinkSync('other', join(repo.path, 'dir'));
      repo.write({ 'link/x.txt': 'x\n' });
    },
  },
  {
    name: 'a directory that became an ignored link to a like directory',
    repo: { files: { '.gitignore': '/dir\n', 'other/b.txt': 'b2\n' } },
    change: (repo) => {
      repo.write({ 'dir/b.txt': 'b\n' });
      repo.git('add', '--force', 'dir/b.txt');
      repo.git('commit', '--quiet', '--message=ignored but tracked');
      repo.remove('dir');
      symlinkSync('other', join(repo.path, 'dir'));
    },
    skip: ['dir'],
  },
  {
    name: 'a file that became a link, and the reverse',
    repo: { files: { file: 'text\n', link: { link: 'file' } } },
    change: (repo) => repo.write({ file: { link: 'link' }, link: 'text\n' }),
  },
  {
    name: 'names with newline, quote, backslash, tab, leading dash and space',
    repo: { files: { 'new\nline': '1', 'quo"te': '1', 'back\\slash': '1', '-dash': '1', ' space ': '1' } },
    change: (repo) => {
      repo.remove('-dash');
      repo.write({
        'new\nline': '2',
        'quo"te': '2',
        'back\\slash': '2',
        'tab\there': '2',
        ':colon': '2',
        ümläut: '2',
      });
    },
  },
  {
    name: 'names that are not UTF-8',
    repo: plain,
    change: (repo) => {
      writeFileSync(repo.bytes('caf\xe9'), 'latin1 name\n');
      writeFileSync(repo.bytes('dir/\xff\xfe'), 'worse\n');
    },
  },
  {
    name: 'names that only Windows takes for .git',
    repo: plain,
    change: (repo) =>
      repo.write({
        'git~1': '1',
        '.git ': '2',
        '.git.': '3',
        '.git::$INDEX_ALLOCATION': '4',
        'a\\.git': '5',
        'x/GIT~1': '6',
        '\u200c.git': '7',
      }),
    differsFromGitAdd: true,
  },
  {
    name: 'names that git takes into no index',
    repo: plain,
    change: (repo) =>
      repo.write({
        'a.txt': 'changed',
        '.GIT/f': '1',
        'dir/.Git': '2',
        '.gitmodules': { link: 'nowhere' },
        'dir/.GITMODULES': { link: 'nowhere' },
        'dir/.gitModules.txt': { link: 'nowhere' },
      }),
    leftOut: {
      '.GIT/f': 'refused-name',
      'dir/.Git': 'refused-name',
      '.gitmodules': 'refused-name',
      'dir/.GITMODULES': 'refused-name',
    },
    skip: ['.GIT', 'dir/.Git', '.gitmodules', 'dir/.GITMODULES'],
    differsFromGitAdd: true,
  },
  {
    name: 'an empty file, new and emptied',
    repo: plain,
    change: (repo) => repo.write({ empty: '', 'a.txt': '' }),
  },
  {
    name: 'CRLF without attributes',
    repo: plain,
    change: (repo) => repo.write({ 'a.txt': 'one\r\ntwo\nthree\r\n', 'new.txt': '\r\n\r\n' }),
  },
  {
    name: 'mixed line ends under text and eol attributes, committed, changed and new',
    repo: {
      files: {
        '.gitattributes':
          '*.txt text\n*.bat text eol=crlf\n*.sh text eol=lf\n*.auto text=auto\n*.bin -text\n',
        'mixed.txt': 'a\r\nb\n',
        'crlf.bat': 'a\r\nb\r\n',
        'lf.bat': 'a\nb\n',
        'crlf.sh': 'a\r\n',
        'mixed.auto': 'a\r\nb\n',
        'kept.bin': 'a\r\nb\n',
        'changed.bat': 'x\n',
      },
    },
    change: (repo) =>
      repo.write({
        'changed.bat': 'a\r\nb\n',
        'new.bat': 'lf\nonly\n',
        'new.txt': 'c\r\nd\n',
        'new.sh': 'c\r\n',
      }),
    differsFromGitAdd: true,
  },
  {
    name: 'attributes that came after the files',
    repo: { files: { 'old.txt': 'a\nb\n', 'utf16.txt': 'h\u00e9\n', 'id.c': '$Id$\n' } },
    change: (repo) =>
      repo.write({
        '.gitattributes': 'old.txt eol=crlf\nutf16.txt working-tree-encoding=UTF-16\n*.c ident\n',
      }),
    differsFromGitAdd: true,
  },
];

describe('round trip', () => {
  test.for(rows)('given $name, when captured, it comes back from patch and ref', async (row) => {
    expect.hasAssertions();
    await expectRoundTrip(row);
  });
});

/** Bytes that do not compress and are the same each time. */
function noise(mebibytes: number): Buffer {
  const bytes = Buffer.alloc(mebibytes * MIB);
  let state = 0x9e3779b9;
  for (let index = 0; index < bytes.length; index += 4) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + index;
    bytes.writeInt32LE(state | 0, index);
  }
  return bytes;
}
