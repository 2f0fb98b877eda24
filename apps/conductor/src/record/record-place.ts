/** Where the record is: what the commands and the HTTP API read and steer alike. */
import path from 'node:path';

import type { Clock } from '@conductor-run/clock';
import type { SqliteJobStore } from '@conductor-run/job-store';

import type { Config } from '../config.ts';

/** Where the record is. */
export interface RecordPlace {
  readonly config: Config;
  readonly store: SqliteJobStore;
  readonly clock: Clock;
}

/** The file behind `sqlite:PATH`. */
export function storeFile({ settings }: Pick<Config, 'settings'>): string {
  return path.resolve(settings.store.slice('sqlite:'.length));
}
