/**
 * Everything a capture has to know before it looks at a single file: status, and what status does not say.
 * Invariant: nothing is read but names, the index and attributes; several git processes may run at once.
 */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { leaveOut, splitNul, textToBytePath, type BytePath } from './byte-path.ts';
import { findConversionRules, findUnfaithful, type Unfaithful } from './fidelity.ts';
import type { Git, GitResult } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import {
  parseStatus,
  startStatus,
  untracked,
  withUntracked,
  type StatusEntry,
  type StatusRun,
} from './git-status.ts';
import { createView, removeView, type GitView } from './git-view.ts';
import { indexIdentity, surveyIndex, type IndexSurvey } from './index-survey.ts';
import type { LeftOutPath } from './record.ts';
import { findDirtySubmodules } from './submodules.ts';
import { mustGitWalk, walkWorktree, type KnownFolder, type WorktreeWalk } from './worktree-walk.ts';

/** @internal What of it holds until the index or a folder changes. */
export interface SurroundingsMemory {
  readonly survey: IndexSurvey | undefined;
  /** As seen by the index of `survey`. */
  readonly folders: ReadonlyMap<BytePath, KnownFolder>;
  /** Whether git had to list the untracked files, and will have to again. */
  readonly needsWholeStatus: boolean;
  /** Files a checkout would not bring back, for the index of `survey` and these conversions. */
  readonly unfaithful: Unfaithful;
  /** What decided on conversions, in short. */
  readonly conversions: string;
}

/** @internal */
export interface SurroundingsRequest {
  readonly git: Git;
  readonly repo: Repository;
  readonly view: GitView;
  /** The commit that is HEAD for the snapshot. */
  readonly head: string | undefined;
  readonly includeIgnored: readonly string[];
  readonly memory: SurroundingsMemory | undefined;
  /** Status, when it runs already. */
  readonly startedStatus: StatusRun | undefined;
  readonly nowMs: number;
}

/** @internal What there is to capture, before any of it is looked at. */
export interface Surroundings {
  readonly entries: readonly StatusEntry[];
  /** What cannot be captured whatever it holds. */
  readonly unseen: readonly LeftOutPath[];
  readonly status: Buffer;
  readonly kept: SurroundingsMemory;
}

/** @internal */
export async function lookAround(request: SurroundingsRequest): Promise<Surroundings> {
  const { repo, view, git, memory } = request;
  const started = request.startedStatus ?? beginStatus(view, repo, memory);
  const surveying = surveyNow(request);
  const [ownStatus, ignored, survey, walk] = await Promise.all([
    started.feed.result,
    listIgnored(request),
    surveying,
    surveying.then((known) => walkNow(request, known, !started.isWhole)),
  ]);
  const { stdout, stderr } = await completeStatus(request, started, ownStatus, survey, walk);
  const status = parseStatus(stdout);
  const listed = new Set(status.entries.map(({ path }) => path));
  const isNew = ({ path }: StatusEntry): boolean => !listed.has(path);
  const unwatched = (survey?.unwatched ?? []).filter(isNew);
  const { unfaithful, conversions } = await checkFidelity(request, survey, status.entries);
  const entries = [...status.entries, ...unwatched, ...unfaithful.entries.filter(isNew), ...ignored];
  const seen = new Set(entries.map(({ path }) => path));
  const dirty = await findDirtySubmodules(
    git,
    repo.topLevel,
    [...(survey?.gitlinks ?? [])].filter((path) => !listed.has(path)),
    join(view.gitDir, 'submodules'),
  );
  return {
    entries,
    unseen: [
      ...status.nestedRepositories.map((path) => leaveOut(path, 'nested-repository')),
      ...dirty.map((path) => leaveOut(path, 'submodule-changed')),
      ...unfaithful.filtered.filter((path) => !listed.has(path)).map((path) => leaveOut(path, 'filtered')),
      ...unreadableDirectories(stderr),
      ...walk.tooDeep.map((path) => leaveOut(path, 'unreadable')),
      // One that took a tracked file's place is among the entries.
      ...walk.specials.filter((path) => !seen.has(path)).map((path) => leaveOut(path, 'special-file')),
    ],
    status: stdout,
    kept: { survey, unfaithful, conversions, folders: walk.folders, needsWholeStatus: !walk.isCertain },
  };
}

/** @internal Starts the status that this work tree will need, as far as is known. */
export function beginStatus(
  view: GitView,
  repo: Repository,
  memory: SurroundingsMemory | undefined,
): StatusRun {
  return startStatus(view, repo, memory?.needsWholeStatus === true || mustGitWalk(repo));
}

/**
 * Untracked files are what a walk found, as long as it was certain and went by the index that git has read. Else one git has to
 * find both: a file that is added to the index between two looks would be in neither.
 */
async function completeStatus(
  { repo, view }: SurroundingsRequest,
  started: StatusRun,
  result: GitResult,
  survey: IndexSurvey | undefined,
  walk: WorktreeWalk,
): Promise<GitResult> {
  if (started.isWhole) return result;
  const isSameIndex = started.index === survey?.identity && started.index === indexIdentity(repo);
  if (!walk.isCertain || !isSameIndex) return startStatus(view, repo, true).feed.result;
  return { ...result, stdout: withUntracked(result.stdout, walk.untracked) };
}

async function surveyNow({ repo, view, memory }: SurroundingsRequest): Promise<IndexSurvey | undefined> {
  const identity = indexIdentity(repo);
  if (identity === undefined) return undefined;
  const known = memory?.survey;
  return known?.identity === identity ? known : surveyIndex(view, repo, identity);
}

function walkNow(
  { repo, view, memory, nowMs }: SurroundingsRequest,
  survey: IndexSurvey | undefined,
  withUntracked: boolean,
): Promise<WorktreeWalk> {
  const isSameIndex = memory?.survey?.identity === survey?.identity;
  const known = isSameIndex ? memory?.folders : undefined;
  return walkWorktree({ view, repo, survey, known: known ?? new Map(), withUntracked, nowMs });
}

async function checkFidelity(
  request: SurroundingsRequest,
  survey: IndexSurvey | undefined,
  touched: readonly StatusEntry[],
): Promise<{ readonly unfaithful: Unfaithful; readonly conversions: string }> {
  const { git, repo, view, memory } = request;
  const rules = findConversionRules(git, repo);
  const conversions = rules.identity;
  const isTouched = touched.some(({ path }) => path.endsWith('.gitattributes'));
  const mayConvert = rules.areThere || isTouched || survey?.hasAttributeFiles === true;
  if (survey === undefined || !mayConvert) return { unfaithful: NOTHING_UNFAITHFUL, conversions };
  const isKnown = memory?.survey?.identity === survey.identity && memory.conversions === conversions;
  if (!isTouched && isKnown) return { unfaithful: memory.unfaithful, conversions };
  const skip = new Set(touched.map(({ path }) => path));
  // One capture may look twice.
  const directory = await mkdtemp(join(view.gitDir, 'attributes-'));
  const checkout = createView(git, repo, { directory, head: request.head, conversions: 'checkout' });
  try {
    const files = survey.files().filter(({ path }) => !skip.has(path));
    return { unfaithful: await findUnfaithful({ repo, view: checkout, files }), conversions };
  } finally {
    removeView(checkout);
  }
}

async function listIgnored(request: SurroundingsRequest): Promise<StatusEntry[]> {
  if (request.includeIgnored.length === 0) return [];
  const { stdout } = await request.view.run({
    args: [
      'ls-files',
      '-z',
      '--others',
      '--ignored',
      '--exclude-standard',
      '--',
      ...request.includeIgnored.map((glob) => `:(top,glob)${glob}`),
    ],
    env: { GIT_INDEX_FILE: request.repo.indexFile },
  });
  return splitNul(stdout)
    .filter((path) => !path.endsWith('/'))
    .map(untracked);
}

/** Git warns about directories it may not read and goes on; what is in them is left out, and said. */
function unreadableDirectories(stderr: string): LeftOutPath[] {
  const found: LeftOutPath[] = [];
  for (const match of stderr.matchAll(/^warning: could not open directory '(.*)\/': /gm)) {
    if (match[1] !== undefined) found.push(leaveOut(textToBytePath(match[1]), 'unreadable'));
  }
  return found;
}

const NOTHING_UNFAITHFUL: Unfaithful = { entries: [], filtered: [] };
