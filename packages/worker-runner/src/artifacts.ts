/**
 * Lists what a step left behind: every plain file under artifacts/, what it named itself, and the record's own logs.
 * Invariant: no symbolic link is followed out of the run directory or the work tree, and nothing a step left there, or
 * named, keeps its run from being closed: what cannot be read is listed as far as it can, and said.
 */
import { createHash } from 'node:crypto';
import {
  constants,
  createReadStream,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  type Dirent,
} from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';

import { messageOf, systemCodeOf } from './errors.ts';
import type { StepArtifact } from './result.ts';

/** Where to look. */
export interface ArtifactSources {
  readonly runDir: string;
  readonly artifactsDir: string;
  readonly worktreePath: string;
  /** What the step named. */
  readonly references: readonly ArtifactReference[];
  /** Called for what cannot be read, other than because it is not there or not ours. */
  readonly onProblem: (problem: string) => void;
}

/** A file, or anything else, that a step named. */
export interface ArtifactReference {
  /** As the step wrote it; may be anything. */
  readonly named: string;
  readonly title?: string;
}

/** What a step named while it ran. */
export interface ReferenceList {
  /** Takes the body of an `artifact_ref` event. A name that is known is not taken again. */
  add(body: Readonly<Record<string, unknown>>): void;
  /** The first of them, in order, at most 10,000. */
  readonly references: readonly ArtifactReference[];
  /** How many further names there were. */
  readonly leftOut: number;
}

/** Starts with nothing. */
export function createReferenceList(): ReferenceList {
  const byName = new Map<string, ArtifactReference>();
  let leftOut = 0;
  return {
    add(body) {
      const named = [body['path'], body['uri']].find((value) => typeof value === 'string') ?? '';
      const { title } = body;
      if (byName.has(named)) return;
      if (byName.size >= MAX_REFERENCES) leftOut += 1;
      else byName.set(named, typeof title === 'string' ? { named, title } : { named });
    },
    get references() {
      return [...byName.values()];
    },
    get leftOut() {
      return leftOut;
    },
  };
}

/**
 * Collects what the step left, merged by path: what the step said about a file is added to the file. Never rejects.
 *
 * @param sources - where to look
 */
export async function collectArtifacts(sources: ArtifactSources): Promise<readonly StepArtifact[]> {
  const byPath = new Map<string, StepArtifact>();
  for (const path of listArtifactFiles(sources)) {
    const name = relative(sources.runDir, path);
    byPath.set(name, { path: name, kind: 'file', ...(await describeFile(path, sources)) });
  }
  // A file may go by many names; it is read once.
  const contents = new Map<string, FileContent>();
  for (const { named, title } of sources.references) {
    const path = findInside(named, sources);
    const name = path === undefined ? named : nameOf(path, named, sources);
    const said = title === undefined ? {} : { title };
    const known = byPath.get(name);
    if (known === undefined && path !== undefined && !contents.has(path))
      contents.set(path, await describeFile(path, sources));
    const content = path === undefined ? {} : contents.get(path);
    byPath.set(name, { ...said, ...(known ?? { path: name, kind: 'reference', ...content }) });
  }
  return [...byPath.values()];
}

/**
 * The record's own files, with their size now.
 *
 * @param runDir - the run's directory
 * @param paths - absolute
 */
export function listLogs(runDir: string, paths: readonly string[]): readonly StepArtifact[] {
  return paths.flatMap((path): readonly StepArtifact[] => {
    const bytes = sizeOfPlainFile(path);
    return bytes === undefined ? [] : [{ path: relative(runDir, path), kind: 'log', bytes }];
  });
}

/** A step may put a link in the place of its directory: what lies behind it is not its own. */
function listArtifactFiles({ artifactsDir, onProblem }: ArtifactSources): Iterable<string> {
  try {
    if (lstatSync(artifactsDir).isDirectory()) return listFiles(artifactsDir, onProblem);
    onProblem('The step put something else in the place of its artifacts directory');
  } catch (error) {
    tellUnreadable(error, onProblem);
  }
  return [];
}

/** The real path of a named plain file, if it lies in the work tree or the run directory. */
function findInside(named: string, sources: ArtifactSources): string | undefined {
  for (const base of [sources.worktreePath, sources.artifactsDir]) {
    try {
      const path = realpathSync(isAbsolute(named) ? named : resolve(base, named));
      const roots = [realpathSync(sources.worktreePath), realpathSync(sources.runDir)];
      const isPlain = lstatSync(path).isFile();
      if (isPlain && roots.some((root) => isInside(path, root))) return path;
    } catch (error) {
      tellUnreadable(error, sources.onProblem);
    }
  }
  return undefined;
}

/** Files of the run directory go by their path below it, others by what the step called them. */
function nameOf(path: string, named: string, { runDir, onProblem }: ArtifactSources): string {
  try {
    const realRunDir = realpathSync(runDir);
    return isInside(path, realRunDir) ? relative(realRunDir, path) : named;
  } catch (error) {
    tellUnreadable(error, onProblem);
    return named;
  }
}

function isInside(path: string, root: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/**
 * Plain files below a directory, sorted, one by one: a list that is spread into another has its limit at some 100,000.
 * Synchronous: a handful of short calls, where each turn of the thread pool would cost more than the call.
 *
 * @internal
 */
export function* listFiles(
  directory: string,
  onProblem: (problem: string) => void,
): Generator<string, void, undefined> {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    tellUnreadable(error, onProblem);
    return;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* listFiles(path, onProblem);
    else if (entry.isFile()) yield path;
  }
}

type FileContent = Pick<StepArtifact, 'bytes' | 'sha256'>;

async function describeFile(path: string, { onProblem }: ArtifactSources): Promise<FileContent> {
  let bytes: number | undefined;
  try {
    // Of anything else that has taken the file's place, opening neither follows it nor waits for it.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const content = createReadStream('', { fd });
    const entry = fstatSync(fd);
    bytes = entry.isFile() ? entry.size : undefined;
    if (bytes !== undefined && bytes <= MAX_HASHED_BYTES) {
      const hash = createHash('sha256');
      for await (const chunk of content) hash.update(chunk as Buffer);
      return { bytes, sha256: hash.digest('hex') };
    }
    content.destroy();
  } catch (error) {
    tellUnreadable(error, onProblem);
  }
  return bytes === undefined ? {} : { bytes };
}

function sizeOfPlainFile(path: string): number | undefined {
  try {
    const entry = lstatSync(path);
    return entry.isFile() ? entry.size : undefined;
  } catch {
    // Listed when it can be seen; whoever cannot read a log of the record says so elsewhere.
    return undefined;
  }
}

/** Gone, or not ours to read, is nothing to say; a name that is no path at all is the step's affair. */
function tellUnreadable(error: unknown, onProblem: (problem: string) => void): void {
  if (!EXPECTED.has(systemCodeOf(error) ?? '')) onProblem(messageOf(error));
}

const EXPECTED: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'ELOOP',
  'ENAMETOOLONG',
  'ERR_INVALID_ARG_VALUE',
]);
const MAX_HASHED_BYTES = 1024 ** 3;
const MAX_REFERENCES = 10_000;
