/**
 * Where the HTTP APIs of this state directory's daemons listen: one small file each, for the CLI to find.
 * Invariant: a file counts only while the process that wrote it lives; a killed daemon's is passed by.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { createHost, identifyProcess, isProcessAlive } from '@conductor-run/worker-runner';
import { z } from 'zod';

import type { Settings } from '../settings.ts';

/** A live daemon's API. */
export interface ApiPlace {
  readonly nodeId: string;
  /** Such as `http://127.0.0.1:7420`, without a path. */
  readonly url: string;
}

/**
 * Tells where this process's API listens.
 *
 * @param settings - state directory and name of the node
 * @param url - where
 * @returns what takes it back
 */
export function publishApi(settings: Pick<Settings, 'stateDir' | 'nodeId'>, url: string): () => void {
  const { processes, pid } = createHost();
  const { nodeId } = settings;
  const folder = folderOf(settings);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, `${encodeURIComponent(nodeId)}.json`);
  const written = `${file}.${pid}`;
  const content = JSON.stringify({ nodeId, url, process: identifyProcess(processes, pid) });
  writeFileSync(written, content, { mode: 0o600 });
  renameSync(written, file);
  return () => rmSync(file, { force: true });
}

/**
 * Finds the API to talk to: the one of this node's own name, else that of any other live daemon.
 *
 * @param settings - state directory and name of the node
 * @returns `undefined` when no daemon with an API runs here
 */
export function findApi(settings: Pick<Settings, 'stateDir' | 'nodeId'>): ApiPlace | undefined {
  const { processes } = createHost();
  const live = namesIn(folderOf(settings))
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => readPlace(path.join(folderOf(settings), name)))
    .filter((place) => isProcessAlive(processes, place.process));
  const found = live.find(({ nodeId }) => nodeId === settings.nodeId) ?? live[0];
  return found === undefined ? undefined : { nodeId: found.nodeId, url: found.url };
}

/**
 * The daemons of this state directory that were killed: their last sign of life may be young, and nobody is there.
 *
 * @param settings - state directory
 */
export function killedNodes(settings: Pick<Settings, 'stateDir'>): ReadonlySet<string> {
  const { processes } = createHost();
  const places = namesIn(folderOf(settings)).flatMap((name) =>
    name.endsWith('.json') ? readPlace(path.join(folderOf(settings), name)) : [],
  );
  return new Set(places.flatMap((place) => (isProcessAlive(processes, place.process) ? [] : place.nodeId)));
}

function readPlace(file: string): readonly z.output<typeof placeSchema>[] {
  try {
    return [placeSchema.parse(JSON.parse(readFileSync(file, 'utf8')))];
  } catch (error) {
    // Gone since it was listed, or of a version that wrote something else: nobody to talk to.
    if (isMissing(error) || error instanceof SyntaxError || error instanceof z.ZodError) return [];
    throw error;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function folderOf({ stateDir }: Pick<Settings, 'stateDir'>): string {
  return path.join(stateDir, 'api');
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

const placeSchema = z.object({
  nodeId: z.string(),
  url: z.url(),
  process: z
    .object({ pid: z.int(), startTime: z.number(), bootId: z.string().optional() })
    .transform(({ pid, startTime, bootId }) => ({
      pid,
      startTime,
      ...(bootId !== undefined && { bootId }),
    })),
});
