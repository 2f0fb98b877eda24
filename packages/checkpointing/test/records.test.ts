/** Records other than snapshots, and the folder they live in. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readCheckpoints, verifyCheckpoints } from '@conductor-run/checkpointing';
import { createManualClock } from '@conductor-run/clock';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tailLines } from '../src/log-tail.ts';
import { setup } from './fixtures/setup.ts';

const redactor = {
  redact: (text: string) => text.replaceAll('hunter22', '[redacted:pw]'),
  contains: (bytes: Uint8Array) => Buffer.from(bytes).includes('hunter22'),
};

describe('writeSummary', () => {
  test('given text and json with a secret, when written, it is on disk without the secret and read back equal', async () => {
    const clock = createManualClock();
    const { manager, directory } = setup({ manager: { redactor, clock } });

    const record = await manager.writeSummary({
      summary: 'used hunter22',
      detail: 'hunter22 again',
      json: { hunter22: ['hunter22', 1, null, { deep: 'hunter22' }] },
    });

    expect(record).toMatchObject({
      checkpointId: 'run-1-1',
      seq: 1,
      createdAt: '2026-01-01T00:00:00.000Z',
      summary: 'used [redacted:pw]',
      json: { '[redacted:pw]': ['[redacted:pw]', 1, null, { deep: '[redacted:pw]' }] },
    });
    expect(await manager.read(1)).toEqual(record);
    expect(record.files.map(({ fileName }) => fileName)).toEqual(['0001/detail.txt', '0001/summary.json']);
    for (const { fileName, bytes } of record.files) {
      expect(statSync(join(directory, fileName))).toMatchObject({ size: bytes });
      expect(readFileSync(join(directory, fileName), 'utf8')).not.toContain('hunter22');
    }
    expect(statSync(join(directory, 'index.ndjson')).mode & 0o777).toBe(0o600);
  });

  test('given json without a JSON form, when written, it throws and no number is lost', async () => {
    const { manager } = setup();

    await expect(manager.writeSummary({ summary: 'x', json: () => 1 })).rejects.toThrow(TypeError);

    expect(await manager.writeSummary({ summary: 'x' })).toMatchObject({ seq: 1, files: [] });
  });
});

describe('writeLogTail', () => {
  test('given 30 lines of text, when written, the last 20 stay and it says so', async () => {
    const { manager } = setup();
    const text = Array.from({ length: 30 }, (_, index) => `line ${index}\r\n`).join('');

    const record = await manager.writeLogTail({ source: 'stdout', text });

    expect(record).toMatchObject({ source: 'stdout', truncated: true });
    expect(record.lines).toHaveLength(20);
    expect(record.lines.at(-1)).toBe('line 29');
  });

  test('given both text and lines, or neither, when written, it throws', () => {
    const { manager } = setup();

    expect(() => manager.writeLogTail({ source: 'worker' })).toThrow('exactly one');
    expect(() => manager.writeLogTail({ source: 'worker', text: '', lines: [] })).toThrow('exactly one');
  });

  test('given any lines and caps, when cut, it is the end of them and within the caps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary' }).map((line) => line.replaceAll(/[\r\n]/g, ''))),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 60 }),
        (lines, maxLines, maxBytes) => {
          const tail = tailLines(
            { source: 'worker', lines, maxLines, maxBytes },
            { redact: (t) => t, contains: () => false },
          );
          const size = tail.lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
          const whole = Buffer.from(lines.join('\n')).toString('utf8');
          expect(tail.lines.length).toBeLessThanOrEqual(maxLines);
          expect(size).toBeLessThanOrEqual(maxBytes);
          expect(whole.endsWith(tail.lines.join('\n'))).toBe(true);
          expect(tail.truncated || tail.lines.length === lines.length).toBe(true);
        },
      ),
    );
  });
});

describe('writeTestOutput', () => {
  const junit = `<?xml version="1.0"?><!-- a > b --><testsuites tests="9"><testsuite name="s">
    <testcase classname="a" name="ok &amp; fine"/>
    <testcase name="broke" file="x.py"><failure message="1 &lt; 2"><![CDATA[trace <here>]]></failure></testcase>
    <testcase name="skipped"><skipped/></testcase>
    <testcase name="error"><error>&#66;oom</error><system-out>noise</system-out></testcase></testsuite></testsuites>`;
  const tap =
    'TAP version 14\n1..5\nok 1 - fine\nnot ok 2 - broke\n  ---\n  message: "no"\n  ...\nok 3 # SKIP later\nnot ok 4 - known # TODO\n    not ok 1 - inner\nnot ok 5 - outer\n';
  const vitest = JSON.stringify({
    numTotalTests: 3,
    numPassedTests: 1,
    numFailedTests: 1,
    numPendingTests: 1,
    testResults: [
      {
        name: '/x.test.ts',
        status: 'failed',
        assertionResults: [
          { fullName: 'a b', status: 'failed', failureMessages: ['no'] },
          { fullName: 'c', status: 'passed', failureMessages: [] },
        ],
      },
      { name: '/broken.test.ts', status: 'failed', message: 'syntax', assertionResults: [] },
    ],
  });

  test.for([
    ['junit', junit, { total: 4, passed: 1, failed: 2, skipped: 1 }, ['broke', 'error']],
    ['tap', tap, { total: 5, passed: 1, failed: 2, skipped: 2 }, ['broke', 'outer']],
    ['vitest-json', vitest, { total: 4, passed: 1, failed: 2, skipped: 1 }, ['a b', '/broken.test.ts']],
  ] as const)(
    'given a %s report, when written, its totals and failures are kept',
    async ([format, text, totals, names]) => {
      const { manager, temp } = setup();
      const path = join(temp, 'report');
      writeFileSync(path, text);

      const record = await manager.writeTestOutput({ path });

      expect(record).toMatchObject({ format, totals, truncated: false });
      expect(record?.failures.map(({ name }) => name)).toEqual(names);
      expect(await manager.latest('test_output')).toEqual(record);
    },
  );

  test('given the messages of a JUnit report, when written, entities and CDATA are text', async () => {
    const { manager, temp } = setup();
    writeFileSync(join(temp, 'report'), junit);

    const record = await manager.writeTestOutput({ path: join(temp, 'report') });

    expect(record?.failures).toEqual([
      { name: 'broke', message: '1 < 2\ntrace <here>', file: 'x.py' },
      { name: 'error', message: 'Boom' },
    ]);
  });

  test.for([
    ['cut JUnit', junit.slice(0, -20)],
    ['other XML', '<html></html>'],
    ['TAP without a plan', 'ok 1\n'],
    ['other JSON', '{"a": 1}'],
    ['cut JSON', vitest.slice(0, -5)],
    ['nothing', ''],
  ])('given %s, when written, it is refused', async ([, text = '']) => {
    const { manager, temp } = setup();
    writeFileSync(join(temp, 'report'), text);

    await expect(manager.writeTestOutput({ path: join(temp, 'report') })).rejects.toMatchObject({
      code: 'report-unreadable',
    });
    await expect(manager.writeTestOutput({ path: join(temp, 'none') })).rejects.toMatchObject({
      code: 'report-unreadable',
    });
  });

  test('given a bail-out and missing results, when written, they count as failures', async () => {
    const { manager, temp } = setup();
    writeFileSync(join(temp, 'report'), '1..3\nok 1\nBail out! no disk\n');

    const record = await manager.writeTestOutput({ path: join(temp, 'report') });

    expect(record?.totals).toEqual({ total: 3, passed: 1, failed: 2, skipped: 0 });
  });
});

describe('the index', () => {
  test('given a torn last line, when read, it is skipped and said, and the next record is whole', async () => {
    const warnings: object[] = [];
    const logger = { warn: (fields: object) => void warnings.push(fields) };
    const context = setup({ manager: { logger } });
    await context.manager.writeSummary({ summary: 'first' });
    const torn = await context.manager.writeSummary({ summary: 'second' });
    const index = join(context.directory, 'index.ndjson');
    truncateSync(index, statSync(index).size - 10);

    expect(await context.manager.list()).toHaveLength(1);
    expect(warnings).toMatchObject([{ lines: [2] }]);
    const next = await context.reopen().writeSummary({ summary: 'third' });

    expect(next.seq).toBe(torn.seq + 1);
    const listing = await readCheckpoints(context.directory);
    expect(listing).toMatchObject({ skippedLines: [2], records: [{ seq: 1 }, { seq: 3 }] });
    expect(await verifyCheckpoints(context.directory)).toMatchObject({ problems: [], unfinished: [2] });
  });

  test('given a line that leads out of the folder or is not ours, when read, it is skipped', async () => {
    const context = setup();
    const record = await context.manager.writeSummary({ summary: 'x', detail: 'y' });
    const evil = { ...record, seq: 2, files: [{ ...record.files[0], fileName: '../../etc/passwd' }] };
    appendFileSync(join(context.directory, 'index.ndjson'), `${JSON.stringify(evil)}\n{"seq":3}\n`);

    expect(await readCheckpoints(context.directory)).toMatchObject({
      skippedLines: [2, 3],
      records: [{ seq: 1 }],
    });
  });

  test('given a folder a crash left, when a record is written, its number is not used again', async () => {
    const context = setup();
    mkdirSync(join(context.directory, '0007'), { recursive: true });

    expect(await context.manager.writeSummary({ summary: 'x' })).toMatchObject({ seq: 8 });
  });

  test('given many writes at once by two managers, when done, every record has a number of its own', async () => {
    const context = setup();
    const other = context.reopen();

    const records = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? other : context.manager).writeSummary({ summary: `${index}` }),
      ),
    );

    expect(new Set(records.map(({ seq }) => seq)).size).toBe(20);
    expect((await readCheckpoints(context.directory)).records).toHaveLength(20);
  });

  test('given no folder, when read, there is nothing, and asking for a record says so', async () => {
    const { manager, directory } = setup();

    expect(await readCheckpoints(directory)).toEqual({ records: [], skippedLines: [], nextSeq: 1 });
    expect(await manager.latest('summary')).toBeUndefined();
    await expect(manager.read(1)).rejects.toMatchObject({ code: 'checkpoint-not-found' });
    expect(existsSync(directory)).toBe(false);
  });
});

describe('resumeFrom', () => {
  test('given checkpoints of another run, when resumed, the newest of each type up to it are found and later records name it', async () => {
    const first = setup();
    await first.manager.writeSummary({ summary: 'early' });
    await first.manager.writeLogTail({ source: 'worker', lines: ['l'] });
    await first.manager.writeSummary({ summary: 'late' });
    await first.manager.writeSummary({ summary: 'too late' });
    const second = setup({ manager: { runId: 'run-2' } });

    const point = await second.manager.resumeFrom(3, first.directory);

    expect(point.latest).toMatchObject({ summary: { summary: 'late' }, log_tail: { seq: 2 } });
    expect(await second.manager.writeSummary({ summary: 'on' })).toMatchObject({
      seq: 1,
      resumedFrom: 'run-1-3',
    });
    await expect(second.manager.resumeFrom(9)).rejects.toMatchObject({ code: 'checkpoint-not-found' });
  });
});
