import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { linesOf, TIMES } from './fixtures/daemon.ts';
import { createScratch, until } from './fixtures/scratch.ts';

interface SpanLine {
  readonly name: string;
  readonly spanId: string;
  readonly parentId?: string;
  readonly startTime: number;
  readonly endTime: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly isError: boolean;
}

describe('tracing', () => {
  test('given an SDK loaded before it, ticks, claims and steps become spans with their true times, and a step lies in its claim’s trace', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  bad: { steps: [{ name: one, command: "true" }, { name: two, command: exit 4 }] }\n`,
    });
    await scratch.conductor('enqueue', 'bad');
    const sdk = path.join(import.meta.dirname, 'fixtures/tracing-sdk.ts');

    const { child, ended } = scratch.startWith(['--import', sdk], 'start');
    const spans = (): readonly SpanLine[] =>
      linesOf(scratch, 'spans.ndjson').map((line) => JSON.parse(line) as SpanLine);
    await until('two steps and a tick are told', () => {
      const names = spans().map(({ name }) => name);
      return (
        names.filter((name) => name === 'conductor.step').length === 2 && names.includes('conductor.tick')
      );
    });
    child.kill('SIGTERM');
    await ended;

    const claim = spans().find(({ name }) => name === 'conductor.claim');
    const steps = spans().filter(({ name }) => name === 'conductor.step');
    expect(claim?.attributes).toMatchObject({ 'conductor.job': 'bad', 'conductor.attempt': 1 });
    expect(steps).toMatchObject([
      {
        parentId: claim?.spanId,
        isError: false,
        attributes: { 'conductor.step': 'one', 'conductor.exit_code': 0 },
      },
      {
        parentId: claim?.spanId,
        isError: true,
        attributes: { 'conductor.step': 'two', 'conductor.exit_code': 4 },
      },
    ]);
    for (const { startTime, endTime } of spans()) expect(endTime).toBeGreaterThanOrEqual(startTime);
  });
});
