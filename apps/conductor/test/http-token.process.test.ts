import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { TIMES } from './fixtures/daemon.ts';
import { occupyPort } from './fixtures/http-node.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

const CONFIG = `${TIMES}jobs:\n  hello: { command: echo hello }\n`;
const SECRET = 'a-secret-that-must-not-be-seen-anywhere';

interface Place {
  readonly url: string;
}

async function apiOf(scratch: Scratch, nodeId: string): Promise<string> {
  const file = path.join(scratch.dir, '.conductor/api', `${nodeId}.json`);
  return until(`node ${nodeId} listens`, () =>
    existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Place).url : undefined,
  );
}

function tokenOf(scratch: Scratch): string {
  return readFileSync(path.join(scratch.dir, '.conductor/token'), 'utf8').trim();
}

describe('conductor start', () => {
  test('given two daemons at the default port, both listen, with one token that only its owner can read', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    scratch.start('start', '--node-id', 'one');
    scratch.start('start', '--node-id', 'two');
    const urls = [await apiOf(scratch, 'one'), await apiOf(scratch, 'two')];

    const authorization = `Bearer ${tokenOf(scratch)}`;
    const statuses = await Promise.all(
      urls.map(async (url) => (await fetch(`${url}/metrics`, { headers: { authorization } })).status),
    );

    expect(statuses).toEqual([200, 200]);
    expect(urls[0]).not.toBe(urls[1]);
    expect(statSync(path.join(scratch.dir, '.conductor/token')).mode & 0o777).toBe(0o600);
  });

  test('given SIGTERM, it takes back where it listens and keeps the token', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    const { child, ended } = scratch.start('start', '--node-id', 'one');
    await apiOf(scratch, 'one');
    const token = tokenOf(scratch);

    child.kill('SIGTERM');
    await ended;

    expect(existsSync(path.join(scratch.dir, '.conductor/api/one.json'))).toBe(false);
    expect(tokenOf(scratch)).toBe(token);
  });

  test('given a port somebody named that is taken, it says which and by what setting, and leaves nothing behind', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    const port = await occupyPort();

    const result = await scratch.conductor('start', '--local-api-port', String(port));

    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('Cannot start http api');
    expect(result.stderr).toContain(`local-api-port "${port}": another program has it`);
    const { stdout } = await scratch.conductor('nodes', '--json');
    expect((JSON.parse(stdout) as { nodes: unknown[] }).nodes).toEqual([]);
  });

  test('given an address that others can reach and no token, it is refused before anything is written', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });

    const result = await scratch.conductor('start', '--local-api-host', '0.0.0.0');

    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(
      'local-api-host "0.0.0.0": other machines could reach it and no token is configured',
    );
    expect(existsSync(path.join(scratch.dir, '.conductor'))).toBe(false);
  });

  test('given an address that others can reach and a token in a file, only that token is let in', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG, secret: `${SECRET}\n` });
    scratch.start(
      'start',
      '--node-id',
      'one',
      '--local-api-host',
      '0.0.0.0',
      '--local-api-port',
      '0',
      '--shared-token-file',
      'secret',
    );
    const url = await apiOf(scratch, 'one');

    const statusWith = async (token: string): Promise<number> =>
      (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).status;

    expect([await statusWith(SECRET), await statusWith(`${SECRET}x`)]).toEqual([200, 401]);
    expect(existsSync(path.join(scratch.dir, '.conductor/token'))).toBe(false);
  });

  test.for([
    ['a file that is not there', undefined, 'there is no such file'],
    ['a file without a token', 'short\n', 'it holds no token'],
  ] as const)('given %s named for the token, it says how to make one', async ([, content, expected]) => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    if (content !== undefined) scratch.write({ secret: content });

    const result = await scratch.conductor('start', '--shared-token-file', 'secret');

    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain(expected);
    expect(result.stderr).toContain('openssl rand -hex 32');
  });
});

describe('secrets', () => {
  test('given a token in the settings, neither config, nor an error, nor the daemon prints it', async () => {
    const scratch = createScratch({ 'conductor.yaml': `${CONFIG}sharedToken: ${SECRET}\n` });
    const { child, ended } = scratch.start('start', '--node-id', 'one');
    await apiOf(scratch, 'one');
    child.kill('SIGTERM');
    const results = [
      await ended,
      await scratch.conductor('config', 'show'),
      await scratch.conductor('config', 'show', '--json'),
      await scratch.conductor('config', 'show', '--shared-token', `${SECRET} with spaces`),
    ];
    scratch.write({ 'conductor.yaml': `${CONFIG}sharedToken: [${SECRET}]\n` });
    results.push(await scratch.conductor('config', 'show'));

    const log = readFileSync(path.join(scratch.dir, '.conductor/logs/daemon.log'), 'utf8');
    const printed = [...results.flatMap(({ stdout, stderr }) => [stdout, stderr]), log];

    expect(printed.filter((text) => text.includes(SECRET))).toEqual([]);
    expect(results[1]?.stdout).toMatch(/shared-token +\[hidden\] +file/);
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 2, 2]);
  });

  test('given a token file others can read, doctor says how to mend it', async () => {
    const scratch = createScratch({ 'conductor.yaml': CONFIG });
    const checksOf = async (): Promise<unknown> => {
      const { stdout } = await scratch.conductor('doctor', '--json');
      return (JSON.parse(stdout) as { checks: { name: string }[] }).checks.find(
        ({ name }) => name === 'token',
      );
    };
    const none = await checksOf();
    const file = path.join(scratch.dir, '.conductor/token');
    writeFileSync(file, `${SECRET}\n`, { mode: 0o600 });
    const good = await checksOf();
    chmodSync(file, 0o644);
    const open = await checksOf();
    writeFileSync(file, 'short');

    expect(none).toMatchObject({ status: 'ok' });
    expect(good).toMatchObject({ status: 'ok' });
    expect(open).toMatchObject({ status: 'bad', mend: `Others can read it: chmod 600 ${file}` });
    expect(await checksOf()).toMatchObject({ status: 'bad', mend: expect.stringContaining('openssl') });
  });
});
