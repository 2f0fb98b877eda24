/**
 * Everything a capture has to know before it looks at a single file: status, and what status does not say.
 * Invariant: nothing is read but names, the index and attributes; several git processes may run at once.
 */
import { join } from 'node:path';
import { leaveOut, splitNul, textToBytePath, type BytePath } from './byte-path.ts';
import { findUnfaithful, mayConvert, type Unfaithful } from './fidelity.ts';
import type { Git, GitResult } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import { parseStatus, STATUS_ARGS, untracked, type StatusEntry } from './git-status.ts';
import { createView, type GitView } from './git-view.ts';
import { indexIdentity, surveyIndex, type IndexSurvey } from './index-survey.ts';
import type { LeftOutPath } from './record.ts';
import { findSpecialFiles, type KnownFolder, type SpecialFiles } from './special-files.ts';
import { findDirtySubmodules } from './submodules.ts';

/** @internal What of it holds until the index or a folder changes. */
export interface SurroundingsMemory {
  readonly survey: IndexSurvey | undefined;
  readonly folders: ReadonlyMap<BytePath, KnownFolder>;
  /** Files a checkout would not bring back, for the index of `survey`. */
  readonly unfaithful: Unfaithful;
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
  readonly startedStatus: Promise<GitResult> | undefined;
  readonly nowMs: number;
}

/** @internal What there is to capture, before any of it is looked at. */
export interface Surroundings {
  readonly entries: readonly StatusEntry[];
  /** What cannot be captured whatever it holds. */
  readonly unseen: readonly LeftOutPath[];
  readonly status: Buffer;
  /** What the next capture needs, but for the folders. */
  readonly kept: Omit<SurroundingsMemory, 'folders'>;
  /** What git never mentions; it may also be among the entries. Nothing but the record waits for it. */
  readonly specials: Promise<SpecialFiles>;
}

/** @internal */
export async function lookAround(request: SurroundingsRequest): Promise<Surroundings> {
  const { repo, view, git } = request;
  const surveying = surveyNow(request);
  const specials = surveying.then((survey) => findSpecials(request, survey));
  // Looked at later, if at all: a capture that fails before has its own reason.
  specials.catch(() => undefined);
  const [statusRun, ignored, survey] = await Promise.all([
    request.startedStatus ?? view.run({ args: STATUS_ARGS, env: { GIT_INDEX_FILE: repo.indexFile } }),
    listIgnored(request),
    surveying,
  ]);
  const status = parseStatus(statusRun.stdout);
  const listed = new Set(status.entries.map(({ path }) => path));
  const isNew = ({ path }: StatusEntry): boolean => !listed.has(path);
  const unwatched = (survey?.unwatched ?? []).filter(isNew);
  const unfaithful = await checkFidelity(request, survey, status.entries);
  const entries = [...status.entries, ...unwatched, ...unfaithful.entries.filter(isNew), ...ignored];
  const dirty = await findDirtySubmodules(
    git,
    repo.topLevel,
    (survey?.gitlinks ?? []).filter((path) => !listed.has(path)),
    join(view.gitDir, 'submodules'),
  );
  return {
    entries,
    unseen: [
      ...status.nestedRepositories.map((path) => leaveOut(path, 'nested-repository')),
      ...dirty.map((path) => leaveOut(path, 'submodule-changed')),
      ...unfaithful.filtered.filter((path) => !listed.has(path)).map((path) => leaveOut(path, 'filtered')),
      ...unreadableDirectories(statusRun.stderr),
    ],
    status: statusRun.stdout,
    kept: { survey, unfaithful },
    specials,
  };
}

async function surveyNow({ repo, view, memory }: SurroundingsRequest): Promise<IndexSurvey | undefined> {
  const identity = await indexIdentity(repo);
  if (identity === undefined) return undefined;
  const known = memory?.survey;
  return known?.identity === identity ? known : surveyIndex(view, repo, identity);
}

function findSpecials(request: SurroundingsRequest, survey: IndexSurvey | undefined): Promise<SpecialFiles> {
  const { repo, view, memory, nowMs } = request;
  return findSpecialFiles({
    view,
    repo,
    tracked: survey?.directories ?? new Set(['']),
    known: memory?.folders ?? new Map<BytePath, KnownFolder>(),
    nowMs,
  });
}

async function checkFidelity(
  request: SurroundingsRequest,
  survey: IndexSurvey | undefined,
  touched: readonly StatusEntry[],
): Promise<Unfaithful> {
  const { git, repo, view, memory } = request;
  const isTouched = touched.some(({ path }) => path.endsWith('.gitattributes'));
  if (survey === undefined || !mayConvert(repo, survey.hasAttributeFiles || isTouched))
    return NOTHING_UNFAITHFUL;
  if (!isTouched && memory?.survey?.identity === survey.identity) return memory.unfaithful;
  const skip = new Set(touched.map(({ path }) => path));
  const checkout = createView(git, repo, {
    directory: join(view.gitDir, 'attributes'),
    head: request.head,
    conversions: 'checkout',
  });
  return findUnfaithful({
    repo,
    view: checkout,
    files: survey.files().filter(({ path }) => !skip.has(path)),
  });
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
