/**
 * Comparing two trees: files, counts, patch.
 * Invariant: the flags leave nothing to the user's configuration, so equal trees always give equal output.
 */
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { bytePathToText, splitNul, type BytePath } from './byte-path.ts';
import { flush } from './flushed-file.ts';
import type { GitFeed } from './git-process.ts';
import type { GitView } from './git-view.ts';
import type { DiffStat } from './record.ts';

/** @internal One path that differs. */
export interface TreeChange {
  readonly path: BytePath;
  readonly oldMode: string;
  readonly newMode: string;
  readonly oldOid: string;
  readonly newOid: string;
  /** A, D, M or T. */
  readonly letter: string;
  /** `undefined` for binary files. */
  readonly insertions: number | undefined;
  readonly deletions: number | undefined;
}

/** @internal Every path that differs, with line counts when asked for. */
export async function listTreeChanges(
  view: GitView,
  from: string,
  to: string,
  withCounts = true,
): Promise<TreeChange[]> {
  if (from === to) return [];
  const { stdout } = await view.run({
    args: [
      'diff-tree',
      '-r',
      '-z',
      '--raw',
      ...(withCounts ? ['--numstat'] : []),
      ...PLAIN_DIFF_ARGS,
      from,
      to,
    ],
  });
  return parseChanges(splitNul(stdout));
}

/** @internal A patch that git writes into a new file. */
export interface PatchFile {
  /** Starts git ahead of time, so that it is up when the trees are. */
  start(): void;
  /** Writes the patch between two trees, which must be there by now. */
  finish(from: string, to: string): Promise<void>;
  /** Takes back what was started; does nothing after `finish`. */
  abort(): Promise<void>;
}

/**
 * @internal The patch goes into the file straight from git. Before it stand the names of the trees and the list of files git calls
 * raw, which `git apply` skips.
 */
export function createPatchFile(view: GitView, path: string): PatchFile {
  const temporary = `${path}.tmp`;
  let started: { readonly fd: number; readonly feed: GitFeed } | undefined;
  const start = (): NonNullable<typeof started> => {
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      return { fd, feed: view.feed({ args: [...PATCH_ARGS, '--raw', '--stdin'], stdoutFd: fd }) };
    } catch (error) {
      closeSync(fd);
      rmSync(temporary);
      throw error;
    }
  };
  return {
    start() {
      started ??= start();
    },
    async finish(from, to) {
      const { fd, feed } = started ?? start();
      started = undefined;
      try {
        if (from !== to) await feed.write(Buffer.from(`${from} ${to}\n`));
        feed.end();
        await feed.result;
        await flush(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, path);
    },
    async abort() {
      if (started === undefined) return;
      await started.feed.stop();
      closeSync(started.fd);
      rmSync(temporary);
    },
  };
}

/** @internal The whole patch, for `git apply`, into a new file. */
export async function writeTreePatch(view: GitView, from: string, to: string, path: string): Promise<void> {
  const fd = openSync(path, 'wx', 0o600);
  try {
    if (from !== to) await view.run({ args: [...PATCH_ARGS, from, to], stdoutFd: fd });
  } finally {
    closeSync(fd);
  }
}

/** @internal The patch of one path as text. Bytes of its name that are not UTF-8 match any byte: arguments are text. */
export async function patchOfPath(view: GitView, from: string, to: string, path: BytePath): Promise<string> {
  const text = bytePathToText(path);
  const pathspec = text.includes('\uFFFD')
    ? `:(top,glob)${path.replaceAll(/[*?[\]\\]/g, '\\$&').replaceAll(/[^\0-\x7f]/g, '?')}`
    : `:(top,literal)${text}`;
  const { stdout } = await view.run({ args: [...PATCH_ARGS, from, to, '--', pathspec] });
  return stdout.toString('utf8');
}

/** @internal */
export function totalsOf(changes: readonly TreeChange[]): DiffStat {
  let insertions = 0;
  let deletions = 0;
  for (const change of changes) {
    insertions += change.insertions ?? 0;
    deletions += change.deletions ?? 0;
  }
  return { filesChanged: changes.length, insertions, deletions };
}

/** `:mode mode oid oid X`, path, …, then `added TAB removed TAB path`, … */
function parseChanges(fields: readonly string[]): TreeChange[] {
  const counts = new Map<BytePath, readonly [string, string]>();
  const raw: (readonly [string, BytePath])[] = [];
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index] ?? '';
    if (field.startsWith(':')) raw.push([field, fields[++index] ?? '']);
    else {
      const [added = '', removed = ''] = field.split('\t', 2);
      counts.set(field.slice(added.length + removed.length + 2), [added, removed]);
    }
  }
  return raw.map(([field, path]) => {
    const [oldMode = '', newMode = '', oldOid = '', newOid = '', letter = ''] = field.slice(1).split(' ');
    const [added, removed] = counts.get(path) ?? [undefined, undefined];
    return {
      path,
      oldMode,
      newMode,
      oldOid,
      newOid,
      letter,
      insertions: toCount(added),
      deletions: toCount(removed),
    };
  });
}

function toCount(text: string | undefined): number | undefined {
  return text === undefined || text === '-' ? undefined : Number(text);
}

/** @internal The mode of a submodule, whose commit is another repository's. */
export const GITLINK = '160000';
const PLAIN_DIFF_ARGS: readonly string[] = ['--no-renames', '--no-ext-diff', '--no-textconv', '--no-color'];

/** A patch that `git apply` takes on any machine; the two trees follow. */
const PATCH_ARGS: readonly string[] = [
  'diff-tree',
  '-r',
  '-p',
  '--binary',
  '--full-index',
  ...PLAIN_DIFF_ARGS,
  '--src-prefix=a/',
  '--dst-prefix=b/',
];
