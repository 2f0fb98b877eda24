/** Reading `git status --porcelain=v2 -z`: the door between git's text and our types. Invariant: paths stay bytes. */
import { CheckpointError } from './errors.ts';
import { splitNul, type BytePath } from './byte-path.ts';
import type { GitFeed } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';
import { indexIdentity } from './index-survey.ts';

/** @internal One path that is not as the base has it. */
export interface StatusEntry {
  readonly path: BytePath;
  readonly isTracked: boolean;
  /** In conflict in the index: what the base has is not known here. */
  readonly isUnmerged: boolean;
  /** A submodule, or anything that is a commit to the outer repository. */
  readonly isGitlink: boolean;
  /** The base's blob, when the base has one at this path. */
  readonly baseOid: string | undefined;
  /** The base's mode, octal, when the base has the path. */
  readonly baseMode: string | undefined;
  /** Its absence from the disk means nothing: git was told to do without it. */
  readonly mayBeAbsent?: boolean;
  /** The mode git would give it, octal; `undefined` for an untracked path. */
  readonly worktreeMode: string | undefined;
}

/** @internal */
export interface Status {
  readonly entries: readonly StatusEntry[];
  /** Untracked repositories inside the work tree, without the trailing slash. */
  readonly nestedRepositories: readonly BytePath[];
}

/** @internal A status under way. */
export interface StatusRun {
  readonly feed: GitFeed;
  /** Whether it lists untracked files as well. */
  readonly isWhole: boolean;
  /** The index file's before git could have read it. */
  readonly index: string | undefined;
}

/** @internal Lists what is tracked, and what is not when `isWhole`. */
export function startStatus(view: GitView, repo: Repository, isWhole: boolean): StatusRun {
  const index = indexIdentity(repo);
  const feed = view.feed({
    args: [...STATUS_ARGS, `--untracked-files=${isWhole ? 'all' : 'no'}`],
    env: { GIT_INDEX_FILE: repo.indexFile },
  });
  feed.end();
  return { feed, isWhole, index };
}

/** @internal The output of a status that did not list untracked files, as if it had. */
export function withUntracked(output: Buffer, paths: readonly BytePath[]): Buffer {
  const lines = paths.toSorted().map((path) => `? ${path}\0`);
  return Buffer.concat([output, Buffer.from(lines.join(''), 'latin1')]);
}

/** @internal */
export function parseStatus(output: Buffer): Status {
  const entries: StatusEntry[] = [];
  const nestedRepositories: BytePath[] = [];
  for (const line of splitNul(output)) {
    const kind = line.charAt(0);
    if (kind === '1') entries.push(parseOrdinary(line));
    else if (kind === 'u') entries.push(parseUnmerged(line));
    else if (kind === '?') {
      const path = line.slice(2);
      if (path.endsWith('/')) nestedRepositories.push(path.slice(0, -1));
      else entries.push(untracked(path));
    } else if (kind !== '#' && kind !== '!') {
      throw new CheckpointError(
        'git-failed',
        `Cannot read git status: it printed "${line.slice(0, 80)}", expected porcelain version 2`,
      );
    }
  }
  return { entries, nestedRepositories };
}

/** @internal */
export function untracked(path: BytePath): StatusEntry {
  return {
    path,
    isTracked: false,
    isUnmerged: false,
    isGitlink: false,
    baseOid: undefined,
    baseMode: undefined,
    worktreeMode: undefined,
  };
}

/** `1 XY sub mH mI mW hH hI path` */
function parseOrdinary(line: string): StatusEntry {
  const fields = splitFields(line, 8);
  const [, , , modeHead = '', modeIndex = '', worktreeMode, oidHead = ''] = fields;
  return {
    path: fields[8] ?? '',
    isTracked: true,
    isUnmerged: false,
    isGitlink: modeHead === GITLINK || (modeHead === ABSENT && modeIndex === GITLINK),
    baseOid: modeHead === ABSENT ? undefined : oidHead,
    baseMode: modeHead === ABSENT ? undefined : modeHead,
    worktreeMode: worktreeMode === ABSENT ? undefined : worktreeMode,
  };
}

/** `u XY sub m1 m2 m3 mW h1 h2 h3 path`: the stages say nothing about HEAD, so the base blob stays unknown. */
function parseUnmerged(line: string): StatusEntry {
  const fields = splitFields(line, 10);
  const worktreeMode = fields[6];
  return {
    path: fields[10] ?? '',
    isTracked: true,
    isUnmerged: true,
    isGitlink: fields[4] === GITLINK || fields[3] === GITLINK,
    baseOid: undefined,
    baseMode: undefined,
    worktreeMode: worktreeMode === ABSENT ? undefined : worktreeMode,
  };
}

/** The first `count` space-separated fields, then everything after them. */
function splitFields(line: string, count: number): string[] {
  const fields: string[] = [];
  let start = 0;
  for (let index = 0; index < count; index++) {
    const end = line.indexOf(' ', start);
    fields.push(line.slice(start, end));
    start = end + 1;
  }
  fields.push(line.slice(start));
  return fields;
}

const STATUS_ARGS: readonly string[] = [
  'status',
  '--porcelain=v2',
  '-z',
  '--no-renames',
  // Looking inside a submodule would run git there, with that repository's configuration.
  '--ignore-submodules=dirty',
];
const GITLINK = '160000';
const ABSENT = '000000';
