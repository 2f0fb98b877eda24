import { join } from 'node:path';
import { createMemoryEventStore } from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';
import { describe, onTestFinished } from 'vitest';
import { eventStoreContract } from './event-store.contract.ts';
import { tempFolder } from './fixtures/spawn-daemon.ts';

describe('in memory', () => {
  eventStoreContract(() => createMemoryEventStore());
});

describe('in SQLite', () => {
  eventStoreContract(() => {
    const store = openSqliteEventStore({ file: join(tempFolder(), 'arcp.db') });
    onTestFinished(() => store.close());
    return store;
  });
});
