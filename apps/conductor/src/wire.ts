/** The one place that constructs the packages from the config. Invariant: whatever is opened here is closed here. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { openJobStore, type SqliteJobStore } from '@conductor-run/job-store';

import type { Context } from './context.ts';
import { storeFile } from './record/record-place.ts';
import { ensureStateDir } from './state-dir.ts';

/** The key of a job nobody gave one: most jobs have a single thing to keep up to date. */
export const DEFAULT_KEY = 'default';

/**
 * Opens the job store, makes the state directory on first use, and closes the store however `use` ends.
 *
 * @param context - the invocation
 * @param use - what needs the store
 */
export async function withStore<Result>(
  context: Context,
  use: (store: SqliteJobStore) => Promise<Result>,
): Promise<Result> {
  ensureStateDir(context.config.settings.stateDir);
  return withStoreAt(context, storePath(context), use);
}

/**
 * The same for what puts nothing new into the store. A store that is not there is not made, and neither is the state
 * directory: `use` gets an empty one elsewhere, which is gone afterwards, and people are told.
 *
 * @param context - the invocation
 * @param use - what needs the store
 */
export async function withStoreThatIsThere<Result>(
  context: Context,
  use: (store: SqliteJobStore) => Promise<Result>,
): Promise<Result> {
  const file = storePath(context);
  if (existsSync(file)) return withStoreAt(context, file, use);
  context.warn(`${context.paint('dim', `nothing is recorded yet: ${file} is not there`)}\n`);
  const folder = mkdtempSync(path.join(tmpdir(), 'conductor-nothing-'));
  try {
    return await withStoreAt(context, path.join(folder, 'conductor.db'), use);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withStoreAt<Result>(
  { config, io }: Context,
  file: string,
  use: (store: SqliteJobStore) => Promise<Result>,
): Promise<Result> {
  const store = await openJobStore({ path: file, durability: config.settings.durability, clock: io.clock });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** The file behind `sqlite:PATH`. */
export function storePath(context: Context): string {
  return storeFile(context.config);
}
