/** The one place that constructs the packages from the config. Invariant: whatever is opened here is closed here. */
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
  const { settings } = context.config;
  ensureStateDir(settings.stateDir);
  const store = await openJobStore({
    path: storePath(context),
    durability: settings.durability,
    clock: context.io.clock,
  });
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
