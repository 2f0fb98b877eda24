/**
 * What git is about to say of a repository, read from its files before git was asked.
 * Invariant: an expectation is only ever compared with git's own answer. Wrong or missing it costs time and nothing else, so
 * whatever is not plain to see is not guessed.
 */
import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CheckpointError, systemErrorCode } from './errors.ts';
import { CARRIED_SETTINGS, type Repository } from './git-repository.ts';
import { readSmallFile } from './regular-file.ts';

/** @internal All that decides what a view of a work tree shows. */
export interface Expectation {
  readonly repo: Repository;
  /** The commit that HEAD names; `undefined` before the first one. */
  readonly commit: string | undefined;
}

/**
 * @internal Never throws for what is not there or looks unlike what is known; `undefined` then.
 *
 * @throws {@link CheckpointError} with code `git-failed` for a FIFO in the place of a file, on which git would wait
 */
export function expectHead(worktree: string, home: string | undefined): Expectation | undefined {
  try {
    const topLevel = realpathSync(worktree);
    const gitDir = findGitDir(join(topLevel, '.git'), topLevel);
    const common = readText(join(gitDir, 'commondir'));
    const commonDir = common === undefined ? gitDir : resolve(gitDir, common.trimEnd());
    const commit = readHead(gitDir, commonDir);
    const settings = readSettings([
      '/etc/gitconfig',
      ...(home === undefined ? [] : [join(home, '.config/git/config'), join(home, '.gitconfig')]),
      join(commonDir, 'config'),
    ]);
    if (commit === undefined || settings === undefined) return undefined;
    const repo = {
      topLevel,
      gitDir,
      commonDir,
      objectsDir: join(commonDir, 'objects'),
      indexFile: join(gitDir, 'index'),
      objectFormat: commit.length === 64 ? 'sha256' : 'sha1',
      settings,
    } as const;
    return { repo, commit };
  } catch (error) {
    if (error instanceof CheckpointError || systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** @internal */
export function isSameExpectation(a: Expectation, b: Expectation | undefined): boolean {
  return b !== undefined && toText(a) === toText(b);
}

function toText({ repo, commit }: Expectation): string {
  const { topLevel, gitDir, commonDir, objectsDir, indexFile, objectFormat, settings } = repo;
  const places = [topLevel, gitDir, commonDir, objectsDir, indexFile];
  const sorted = [...settings].sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([commit, objectFormat, places, sorted]);
}

/** A linked work tree has a file that says where its directory is. */
function findGitDir(path: string, topLevel: string): string {
  try {
    const link = /^gitdir: (.+)$/m.exec(readSmallFile(path, MAX_BYTES)?.toString('utf8') ?? '');
    return resolve(topLevel, link?.[1] ?? path);
  } catch (error) {
    if (systemErrorCode(error) !== 'EISDIR') throw error;
    return path;
  }
}

function readHead(gitDir: string, commonDir: string): string | undefined {
  const head = readText(join(gitDir, 'HEAD'))?.trimEnd() ?? '';
  if (!head.startsWith('ref: ')) return OID.test(head) ? head : undefined;
  const name = head.slice('ref: '.length);
  const loose = readText(join(commonDir, name))?.trimEnd();
  if (loose !== undefined) return OID.test(loose) ? loose : undefined;
  const packed = readText(join(commonDir, 'packed-refs')) ?? '';
  return packed
    .split('\n')
    .find((line) => line.endsWith(` ${name}`))
    ?.slice(0, -name.length - 1);
}

/** `undefined` when a file says something that this does not read as git does. */
function readSettings(files: readonly string[]): Map<string, string> | undefined {
  const settings = new Map<string, string>();
  for (const file of files) {
    let section = '';
    for (const line of (readText(file) ?? '').split('\n')) {
      const header = /^\s*\[([^\]]*)\]\s*$/.exec(line)?.[1]?.toLowerCase();
      if (header?.startsWith('include') === true) return undefined;
      section = header ?? section;
      const [, key = '', value] = /^\s*([a-z][a-z0-9-]*)\s*(?:=\s*(.*?)\s*)?$/i.exec(line) ?? [];
      const name = `${section}.${key.toLowerCase()}`;
      if (!CARRIED_SETTINGS.has(name)) continue;
      if (value !== undefined && /["\\#;]/.test(value)) return undefined;
      settings.set(name, value ?? 'true');
    }
  }
  return settings;
}

function readText(path: string): string | undefined {
  try {
    // Of a file as large as no such file is, nothing is expected.
    return readSmallFile(path, MAX_BYTES)?.toString('utf8') ?? '';
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

const MAX_BYTES = 64 * 1024 * 1024;
const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
