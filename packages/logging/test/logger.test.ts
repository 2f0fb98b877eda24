import { statSync } from 'node:fs';
import { join } from 'node:path';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createLogger, createRedactor, stripAnsi, type LoggerOptions } from '../src/index.ts';
import { jsonLines, temporaryDirectory, textOf } from './fixtures/setup.ts';

function setup(options: LoggerOptions = {}): { file: string; logger: ReturnType<typeof createLogger> } {
  const file = join(temporaryDirectory(), 'logs', 'conductor.log');
  const clock = createManualClock();
  return { file, logger: createLogger({ destination: { file }, clock, ...options }) };
}

describe('createLogger', () => {
  test('given entries, they are JSON lines with the clock’s time, in a private file', () => {
    const { file, logger } = setup({ level: 'debug', fields: { node: 'n1' } });

    logger.debug({ jobId: 'j' }, 'job.claimed');
    logger.child({ term: 3 }).warn({}, 'lease.lost');
    logger.error({ err: new Error('boom') }, 'tick.failed');
    logger.info({}, 'tick.done');
    logger.flush();

    expect(jsonLines(file)).toMatchObject([
      { level: 20, time: Date.UTC(2026, 0, 1), node: 'n1', jobId: 'j', msg: 'job.claimed' },
      { level: 40, term: 3, msg: 'lease.lost' },
      { level: 50, err: { message: 'boom' }, msg: 'tick.failed' },
      { level: 30, msg: 'tick.done' },
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('given secrets by name, by shape and by value, none is written', () => {
    const { file, logger } = setup({ redactor: createRedactor({ secrets: { DB: 'correct "horse' } }) });

    logger.info({ authorization: 'x1', req: { headers: { authorization: 'x2' }, token: 'x3' } }, 'a');
    logger.info({ url: `ghp_${'a'.repeat(36)}` }, 'with correct "horse');
    logger.flush();

    expect(textOf(file)).not.toMatch(/x1|x2|x3|aaaa|correct/);
    expect(jsonLines(file)).toMatchObject([
      { authorization: '[redacted]', req: { token: '[redacted]' } },
      { url: '[redacted:github-token]', msg: 'with [redacted:DB]' },
    ]);
  });

  test('given a level, lesser entries are left out', () => {
    const { file, logger } = setup({ level: 'warn' });

    logger.info({}, 'no');
    logger.warn({}, 'yes');
    logger.flush();

    expect(jsonLines(file)).toHaveLength(1);
  });

  test('given pretty, lines are for people, escape sequences cannot get through, and errors show their stack', () => {
    const { file, logger } = setup({ pretty: true });

    logger.info({ jobId: 'j-1', reason: 'a b', n: 3 }, 'job.claimed \u001b[31mred');
    logger.error({ err: new TypeError('boom') }, 'tick.failed');
    logger.flush();

    const [first = '', second = '', third = ''] = textOf(file).split('\n');
    expect(first).toBe('00:00:00.000 info  job.claimed red jobId=j-1 reason="a b" n=3');
    expect(second).toBe('00:00:00.000 error tick.failed');
    expect(third).toBe('TypeError: boom');
  });
});

describe('stripAnsi', () => {
  test.for([
    ['plain ä\ttext\r', 'plain ä\ttext\r'],
    ['\u001b[1;31mbold red\u001b[0m', 'bold red'],
    ['\u001b[2K\u001b[1Gprogress 5%', 'progress 5%'],
    ['\u001b]8;;https://x\u001b\\link\u001b]8;;\u001b\\', 'link'],
    ['\u001b]0;a title\u0007text', 'text'],
    ['\u001bP1$r\u001b\\dcs', 'dcs'],
    ['\u009b31mc1', 'c1'],
    ['\u001b(Bcharset', 'charset'],
    ['cut \u001b[31', 'cut '],
    ['cut \u001b', 'cut '],
    ['bell\u0007 back\u0008 nul\u0000', 'bell back nul'],
  ])('given %j, it leaves %j', ([text = '', expected = '']) => {
    expect(stripAnsi(text)).toBe(expected);
  });
});
