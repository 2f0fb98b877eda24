/** The draft against a running conductor, whose agents are scripts with two descriptors. */
import { connectWebSocket } from '@conductor-run/arcp/client';
import { conformanceChecks } from '@conductor-run/arcp/testing';
import { describe, expect, test } from 'vitest';

import { COMMANDS, startArcpConductor, TOKENS } from './fixtures/arcp.ts';

describe('conformance of a running conductor', () => {
  test.for(Object.entries(COMMANDS))(
    'given agents in %s, when checked, every check holds',
    async ([, command]) => {
      const jobs = ['echo', 'count', 'wait'].map(
        (name) => `  ${name}: { command: '${command} ${name}', concurrency: 100 }\n`,
      );
      const { url } = await startArcpConductor(jobs.join(''));

      const failed: unknown[] = [];
      for (const check of conformanceChecks) {
        const target = {
          connect: connectWebSocket(url),
          tokens: { alice: TOKENS.local, bob: TOKENS.bob },
          agents: { echo: 'echo', count: 'count', wait: 'wait' },
          deadlineMs: 20_000,
        };
        await check.run(target).catch((error: unknown) => failed.push([check.section, check.title, error]));
      }

      expect(failed).toEqual([]);
    },
  );
});
