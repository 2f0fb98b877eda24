import { existsSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { STEADY_TIMES } from './fixtures/daemon.ts';
import { callCli } from './fixtures/cli.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

const CONFIG = `${STEADY_TIMES}jobs:
  slow: { command: "touch up; while [ ! -e go ]; do sleep 0.05; done; cat" }
`;

function setup(): Scratch {
  return createScratch({ 'conductor.yaml': CONFIG, 'input.json': '{"n":1}' });
}

async function enqueue({ dir }: Scratch, ...args: readonly string[]): Promise<string> {
  const { stdout } = await callCli(dir, ['enqueue', 'slow', ...args]);
  return stdout;
}

describe('conductor enqueue', () => {
  test('given an input that waits, a newer one of the same key says that it replaces it; another key keeps both', async () => {
    const scratch = setup();

    const first = await enqueue(scratch, '--input', 'input.json');
    const second = await enqueue(scratch, '--input', 'input.json');
    const other = await enqueue(scratch, '--input', 'input.json', '--key', 'b');
    const bare = await enqueue(scratch);

    const replaced = 'the input replaces the one that waited; another --key would have kept both';
    expect(first).not.toContain(replaced);
    expect(second).toContain(`slow: watermark 2, is due, but no daemon is up\n${replaced}\n`);
    expect(other).not.toContain(replaced);
    expect(bare).not.toContain(replaced);
  });

  test('given no daemon, a pause, a daemon, and a run under way, it says when the job runs', async () => {
    const scratch = setup();

    const alone = await enqueue(scratch);
    await callCli(scratch.dir, ['jobs', 'pause']);
    const paused = await enqueue(scratch);
    await callCli(scratch.dir, ['jobs', 'resume']);
    const daemon = scratch.start('start');
    await until('the job runs', () => existsSync(path.join(scratch.dir, 'up')));
    const during = await enqueue(scratch, '--input', 'input.json');
    const again = await enqueue(scratch, '--input', 'input.json');
    const beside = await enqueue(scratch, '--key', 'free', '--watermark', '1');
    scratch.write({ go: '' });
    daemon.child.kill('SIGTERM');
    await daemon.ended;

    expect(alone).toContain('is due, but no daemon is up');
    expect(alone).toContain('conductor start runs a daemon');
    expect(paused).toContain('slow: watermark 2, everything is paused\nconductor jobs resume\n');
    // What the run under way has read is not lost.
    expect(during).toBe('slow: watermark 3, due after the run under way\n');
    expect(again).toContain('the input replaces the one that waited');
    expect(beside).toContain('at most 1 of its kind');
  });
});
