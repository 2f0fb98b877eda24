/** The SQLite engine passes the whole contract. */
import { jobStoreContract } from '@conductor-run/job-store/testing';
import { describe, expect, test } from 'vitest';
import { sqliteStores } from './fixtures/stores.ts';

describe('contract on SQLite', () => {
  test.for(jobStoreContract(sqliteStores))('$name', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});
