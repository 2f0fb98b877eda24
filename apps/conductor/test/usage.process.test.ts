import { describe, expect, test } from 'vitest';

import { callCli } from './fixtures/cli.ts';
import { createHttpNode } from './fixtures/http-node.ts';
import { createScratch } from './fixtures/scratch.ts';

const CONFIG = { 'conductor.yaml': 'jobs:\n  nightly: { command: "true" }\n' };

describe('input that cannot be meant', () => {
  test.for([
    [['jobs', 'pause', 'nihgtly'], 'Cannot find job "nihgtly": expected one of the config or the store'],
    [['jobs', 'resume', ''], 'Cannot find job ""'],
    [['enqueue', 'nightly', '--key', ''], 'Cannot use --key "": it has 0 characters, expected 1 to 1000'],
    [['run', 'nightly', '--key', ''], 'Cannot use --key ""'],
    [['store', 'prune', '--max-age', '30000d'], 'Cannot use --max-age "30000d": expected a duration'],
    [['exec', '--timeout', '0s', '--', 'true'], 'Cannot use --timeout "0s": expected a duration above 0'],
  ] as const)(
    'given %j, it is refused with 2, and the message says what is expected',
    async ([args, message]) => {
      const { dir } = createScratch(CONFIG);

      const { exitCode, stderr } = await callCli(dir, args);

      expect(stderr).toContain(message);
      expect(exitCode).toBe(2);
    },
  );

  test.for(['timeout: 0s', 'idleTimeout: 0ms', 'checkpoint: { every: 0s }'])(
    'given a job with %s, the config is refused',
    async (limit) => {
      const { dir } = createScratch({ 'conductor.yaml': `jobs:\n  a: { command: "true", ${limit} }\n` });

      const { exitCode, stderr } = await callCli(dir, ['config', 'check']);

      expect(stderr).toContain('expected a duration above 0');
      expect(exitCode).toBe(2);
    },
  );

  test('given an empty CONDUCTOR_API, it is as good as unset', async () => {
    const { dir } = createScratch(CONFIG);

    const result = await callCli(dir, ['jobs', 'list'], { CONDUCTOR_API: '' });

    expect(result).toMatchObject({ exitCode: 0, stdout: 'never ran: nightly\n' });
  });
});

describe('pause', () => {
  test('given a job that left the config while paused, it can be resumed; a name nobody knows is 404 over HTTP', async () => {
    const node = await createHttpNode();
    await node.store.pause('gone');

    const resumed = await node.ask('POST', '/v1/jobs/gone/resume');
    const unknown = await node.ask('POST', '/v1/jobs/gone/pause');

    expect(resumed).toMatchObject({ status: 200 });
    expect(unknown).toMatchObject({ status: 404, text: expect.stringContaining('job-unknown') });
    expect((await node.ask('POST', '/v1/jobs/build/pause')).status).toBe(200);
  });
});
