/**
 * Lists what a step left behind: every plain file under artifacts/, what it named itself, and the record's own logs.
 * Invariant: no symbolic link is followed out of the run directory or the work tree.
 */
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readdirSync, realpathSync, type Dirent } from 'node:fs';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';

import { systemCodeOf } from './errors.ts';
import type { StepArtifact } from './result.ts';

/** Where to look. */
export interface ArtifactSources {
  readonly runDir: string;
  readonly artifactsDir: string;
  readonly worktreePath: string;
  /** The record's own files, absolute. */
  readonly logPaths: readonly string[];
  /** Bodies of the step's `artifact_ref` events. */
  readonly references: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Collects artifacts, merged by path: what the step said about a file is added to the file.
 *
 * @param sources - where to look
 */
export async function collectArtifacts(sources: ArtifactSources): Promise<readonly StepArtifact[]> {
  const byPath = new Map<string, StepArtifact>();
  for (const path of sources.logPaths) {
    const size = sizeOfPlainFile(path);
    if (size !== undefined) {
      const name = relative(sources.runDir, path);
      byPath.set(name, { path: name, kind: 'log', bytes: size });
    }
  }
  for (const path of listFiles(sources.artifactsDir)) {
    const artifact = await describeFile(path, relative(sources.runDir, path), 'file');
    byPath.set(artifact.path, artifact);
  }
  for (const body of sources.references) {
    const artifact = await describeReference(body, sources);
    const known = byPath.get(artifact.path);
    byPath.set(artifact.path, known === undefined ? artifact : { ...artifact, ...known });
  }
  return [...byPath.values()];
}

async function describeReference(
  body: Readonly<Record<string, unknown>>,
  sources: ArtifactSources,
): Promise<StepArtifact> {
  const named = [body['path'], body['uri']].find((value) => typeof value === 'string') ?? '';
  const title = typeof body['title'] === 'string' ? { title: body['title'] } : {};
  const path = findInside(named, sources);
  if (path === undefined) return { path: named, kind: 'reference', ...title };
  const runDir = realpathSync(sources.runDir);
  const name = isInside(path, runDir) ? relative(runDir, path) : named;
  return { ...(await describeFile(path, name, 'reference')), ...title };
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
      if (!NOT_THERE.has(systemCodeOf(error) ?? '')) throw error;
    }
  }
  return undefined;
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
export function* listFiles(directory: string): Generator<string, void, undefined> {
  let entries: Dirent[];
  try {
    entries = readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (NOT_THERE.has(systemCodeOf(error) ?? '')) return;
    throw error;
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* listFiles(path);
    else if (entry.isFile()) yield path;
  }
}

async function describeFile(path: string, name: string, kind: StepArtifact['kind']): Promise<StepArtifact> {
  const bytes = sizeOfPlainFile(path);
  if (bytes === undefined) return { path: name, kind };
  if (bytes > MAX_HASHED_BYTES) return { path: name, kind, bytes };
  const sha256 = await hashFile(path);
  return sha256 === undefined ? { path: name, kind, bytes } : { path: name, kind, bytes, sha256 };
}

function sizeOfPlainFile(path: string): number | undefined {
  try {
    const entry = lstatSync(path);
    return entry.isFile() ? entry.size : undefined;
  } catch (error) {
    if (NOT_THERE.has(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}

async function hashFile(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    if (NOT_THERE.has(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
  return hash.digest('hex');
}

/** Gone, or not ours to read: listed without a size, never an error. */
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG']);
const MAX_HASHED_BYTES = 1024 ** 3;
