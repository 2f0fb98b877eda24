/** A step that floods its events, seen from the other steps of its supervisor, and from whoever adopts it. */
import { closeSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { adoptRuns, startSupervised } from '../src/index.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setupLease } from './fixtures/lease-setup.ts';
import { until } from './fixtures/setup.ts';
import { quick, setupSupervised } from './fixtures/supervised.ts';

describe('a step that floods its events', () => {
  test('given a quiet step under a short lease, when one beside it floods, the quiet one keeps its lease and the other fails', async () => {
    const bundle = setupLease();
    const quiet = await startSupervised(
      bundle.requestOf('while [ ! -e go ]; do sleep 0.02; done; echo done'),
      { ...quick, lease: bundle.supervised },
    );

    const loud = await startSupervised(
      bundle.requestOf(`yes '{"kind":"log","body":{}}' >&3`, {
        limits: { maxEventBytes: 4 * 1024 * 1024 },
      }),
      quick,
    );
    const flooded = await loud.result;
    writeFileSync(join(bundle.worktree, 'go'), '');
    const kept = await quiet.result;

    expectEnvelope(kept);
    expect(kept).toMatchObject({ outcome: 'completed', logSummary: { tail: ['done'] } });
    expectEnvelope(flooded);
    expect(flooded).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
  });

  test('given 64 MiB of events, when the run is adopted, its supervisor with its small heap takes them all up', async () => {
    const bundle = setupSupervised();
    const step = await startSupervised(bundle.requestOf('while [ ! -e go ]; do sleep 0.02; done'), quick);
    step.detach();
    await bundle.wrapperOf(step.runId);
    await bundle.killSupervisor();
    const count = writeEvents(join(step.runDir, 'events.ndjson'), 64 * 1024 * 1024);

    const [adopted] = await adoptRuns(bundle.runsDir, quick);
    const adopter = bundle.supervisorPid();
    writeFileSync(join(bundle.worktree, 'go'), '');
    const result = await adopted?.result;

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', summary: 'the last', adopted: true });
    expect(result.metrics.stepEventCount).toBe(count);
    expect(bundle.supervisorPid()).toBe(adopter);
  });

  test('given a step that floods while nobody looks after it, when it is adopted, what it wrote is cut and it is ended', async () => {
    const bundle = setupSupervised();
    const step = await startSupervised(
      bundle.requestOf(`while [ ! -e go ]; do sleep 0.02; done; yes '{"kind":"log","body":{}}' >&3`, {
        limits: { maxEventBytes: 100_000 },
      }),
      quick,
    );
    step.detach();
    await bundle.wrapperOf(step.runId);
    await bundle.killSupervisor();
    writeFileSync(join(bundle.worktree, 'go'), '');
    await until('the flood', () => statSync(join(step.runDir, 'events.raw')).size > 1_000_000);

    const [adopted] = await adoptRuns(bundle.runsDir, quick);
    const result = await adopted?.result;

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
    expect(statSync(join(step.runDir, 'events.ndjson')).size).toBeLessThanOrEqual(100_000);
  });
});

/** As a reader before would have left them. Returns how many there are. */
function writeEvents(path: string, bytes: number): number {
  const fd = openSync(path, 'w');
  const lineOf = (seq: number, event: string): string =>
    `{"seq":${seq},"createdAt":1795244658756,${event},"rawOffset":0}\n`;
  let seq = 0;
  for (let written = 0; written < bytes - 1_000_000;) {
    let block = '';
    while (block.length < 900_000) block += lineOf((seq += 1), '"kind":"log","body":{}');
    written += writeSync(fd, block);
  }
  writeSync(fd, lineOf((seq += 1), '"kind":"summary","body":{"text":"the last"}'));
  closeSync(fd);
  return seq;
}
