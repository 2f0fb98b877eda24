/** A supervisor with nothing to look after ends, whatever its keepers leave open: until then nobody else can take its place. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { describe, expect, test } from 'vitest';

import { startSupervised } from '../src/index.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { isAlive, until } from './fixtures/setup.ts';
import { setupSupervised } from './fixtures/supervised.ts';

const quick = { idleExitMs: 100 };
const MODULE = pathToFileURL(join(import.meta.dirname, 'fixtures/clinging-keeper.ts')).href;

describe('a supervisor with nothing to look after', () => {
  test.for([
    ['leave', undefined],
    ['hang', 'lease-keeper.close-too-slow'],
    ['fail', 'lease-keeper.close-failed'],
  ] as const)(
    'given a keeper that holds on to something and whose close is to %s, it ends and the next one starts',
    async ([close, told]) => {
      const { requestOf, runsDir, supervisorPid } = setupSupervised();
      const keeper = { module: MODULE, export: 'createClingingKeeper', options: { close } };
      const lease = { lease: {}, leaseMs: 5000, keeper };
      const step = await startSupervised(requestOf('true'), { ...quick, lease });
      await step.result;
      const pid = supervisorPid();

      await until('its end', () => !isAlive(pid));
      const next = await startSupervised(requestOf('true'), quick);

      expect(await next.result).toMatchObject({ outcome: 'completed' });
      const log = readFileSync(join(supervisorDirOf(runsDir), 'supervisor.log'), 'utf8');
      expect(log.includes('lease-keeper.close')).toBe(told !== undefined);
      expect(log).toContain(told ?? '');
    },
  );
});
