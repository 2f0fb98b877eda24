import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { loadConfig } from '../src/config.ts';

function setup(files: Readonly<Record<string, string>> = {}) {
  const dir = mkdtempSync(path.join(tmpdir(), 'conductor-config-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
  return { dir, load: (over: object = {}) => loadConfig({ cwd: dir, env: {}, flags: {}, ...over }) };
}

describe('loadConfig', () => {
  test('given no file anywhere, it gives defaults below the working directory', () => {
    const { dir, load } = setup();

    const config = load();

    expect(config.configPath).toBeUndefined();
    expect(config.settings.stateDir).toBe(path.join(dir, '.conductor'));
    expect(config.settings.runsDir).toBe(path.join(dir, '.conductor', 'runs'));
    expect(config.settings.store).toBe(`sqlite:${path.join(dir, '.conductor', 'conductor.db')}`);
    expect(config.sources.store).toBe('default');
  });

  test('given a file in a parent folder, it is found and its relative paths start there', () => {
    const { dir, load } = setup({ 'conductor.yaml': 'store: sqlite:var/x.db\n', 'a/b/.keep': '' });

    const config = load({ cwd: path.join(dir, 'a', 'b') });

    expect(config.rootDir).toBe(dir);
    expect(config.settings.store).toBe(`sqlite:${path.join(dir, 'var', 'x.db')}`);
  });

  test('given a value by flag, environment and file, the flag wins, then the environment', () => {
    const { load } = setup({ 'conductor.yaml': 'maxParallel: 1\n' });
    const env = { CONDUCTOR_MAX_PARALLEL: '2' };

    expect(load().settings.maxParallel).toBe(1);
    expect(load({ env }).settings.maxParallel).toBe(2);
    const both = load({ env, flags: { maxParallel: '3' } });

    expect(both.settings.maxParallel).toBe(3);
    expect(both.sources.maxParallel).toBe('flag');
  });

  test.for([
    [
      'jobs:\n  "A b/c": { command: x }\n',
      {},
      '"jobs.A b/c" cannot be a name, expected a letter or digit, then',
    ],
    [
      'jobs:\n  a: { command: x, timeout: 30 }\n',
      {},
      '"jobs.a.timeout" is 30, expected a duration such as 90s',
    ],
    ['jobs:\n  a: { steps: 5 }\n', {}, '"jobs.a.steps" is 5, expected a list'],
    [
      'jobs:\n  a: { command: x, schedule: { cron: "0 24 * * *" } }\n',
      {},
      'cron is "0 24 * * *", expected an hour from 0 to 23 in field 2, not "24"',
    ],
    [
      'jobs:\n  a: { command: x, schedule: { every: 50ms } }\n',
      {},
      '"jobs.a.schedule.every" is "50ms", expected a duration of at least 100ms',
    ],
    ['jobs:\n  a: { command: x, schedule: {} }\n', {}, 'expected exactly one of cron, every and at, not 0'],
    [
      'jobs:\n  a: { command: x, watch: { files: ["../b/*"] } }\n',
      {},
      '"jobs.a.watch.files.0" is "../b/*", expected a glob below the folder of the config',
    ],
    ['maxParallel: 0\n', {}, '"maxParallel" is 0, expected a whole number from 1 to 1000'],
    ['maxParallel: true\n', {}, '"maxParallel" is true, expected a whole number from 1 to 1000'],
    [
      '',
      { CONDUCTOR_LEASE_TTL_MS: 'soon' },
      'CONDUCTOR_LEASE_TTL_MS "soon": expected a whole number from 100 to 86400000',
    ],
  ] as const)(
    'given a number out of range, it names the setting, the value and the range: %s',
    ([yaml, env, words]) => {
      const { load } = setup({ 'conductor.yaml': yaml });

      expect(() => load({ env })).toThrow(words);
    },
  );

  test('given lease numbers that do not fit together, it refuses with all three', () => {
    const { load } = setup({ 'conductor.yaml': 'leaseTtlMs: 5000\n' });

    expect(() => load()).toThrow(
      'lease-ttl-ms "5000", lease-renew-deadline-ms "6000" and lease-retry-ms "2000"',
    );
  });

  test.for([
    ['jobs: { a: { comand: x } }', '"jobs.a.comand" is not a known key, did you mean "command"?'],
    ['stroe: sqlite:x', '"stroe" is not a known key, did you mean "store"?'],
    [
      'jobs: { a: { command: x, timeout: 5 minutes } }',
      '"jobs.a.timeout" is "5 minutes", expected a duration',
    ],
    ['jobs: { a: {} }', 'expected exactly one of command and steps'],
    ['jobs: { "a b": { command: x } }', 'jobs.a b'],
    ['jobs: [', 'Cannot read config'],
  ] as const)('given %s, it is refused with words that name the key', ([yaml, words]) => {
    const { load } = setup({ 'conductor.yaml': yaml });

    expect(() => load()).toThrow(words);
  });

  test('given a job with a command, it becomes the one step main with the limits of the job', () => {
    const { load } = setup({ 'conductor.yaml': 'jobs: { a: { command: npm test, timeout: 1h30m } }' });

    const job = load().jobs.get('a');

    expect(job?.steps).toEqual([
      {
        name: 'main',
        command: 'npm test',
        timeoutMs: 5_400_000,
        idleTimeoutMs: undefined,
        testReport: undefined,
      },
    ]);
    expect(job?.retry).toEqual({ max: 0, backoff: 'exponential', delayMs: 10_000, maxDelayMs: 600_000 });
  });

  test('given a standby, its rank is 50 unless it has one of its own', () => {
    const { load } = setup();

    expect(load().settings.priority).toBe(100);
    expect(load({ flags: { role: 'standby' } }).settings.priority).toBe(50);
    expect(load({ flags: { role: 'standby', priority: '70' } }).settings.priority).toBe(70);
  });

  test('given a token that is too short, it is refused without being shown', () => {
    const { load } = setup();

    expect(() => load({ env: { CONDUCTOR_SHARED_TOKEN: 'short' } })).toThrow(
      'Cannot use setting CONDUCTOR_SHARED_TOKEN "[hidden]": expected at least 32 printable characters',
    );
  });

  test.for([
    ['webhook: { url: "https://me:pass-key@h.example/in?k=query-key", secretEnv: S }', 'https://h.example/…'],
    ['webhook: { url: "ftp://h.example/in?k=query-key", secretEnv: S }', 'ftp://h.example/…'],
    [
      'command: x, webhook: { url: "https://h.example/in?k=query-key", secretEnv: S }',
      'expected exactly one of command and webhook',
    ],
  ] as const)('given the notify %s, it is refused without its keys being shown', ([notify, words]) => {
    const yaml = `jobs: { a: { command: x, notify: { on: [failed], ${notify} } } }`;
    const { load } = setup({ 'conductor.yaml': yaml });

    expect(() => load()).toThrow(words);
    expect(() => load()).not.toThrow(/pass-key|query-key/);
  });

  test.for(['me:pass@', 'me@'])(
    'given a webhook with %s in its address, it says what is expected instead',
    (userInfo) => {
      const target = `webhook: { url: "https://${userInfo}h.example/", secretEnv: S }`;
      const yaml = `jobs: { a: { command: x, notify: { on: [failed], ${target} } } }`;
      const { load } = setup({ 'conductor.yaml': yaml });

      expect(() => load()).toThrow('expected an address without a user and password');
    },
  );

  test.for(['0.0.0.0', '::', '192.168.1.7', 'builder.lan'])(
    'given the address %s, it is refused without a token and taken with one',
    (localApiHost) => {
      const { load } = setup();
      const sharedToken = 'x'.repeat(32);

      expect(() => load({ flags: { localApiHost } })).toThrow('no token is configured');
      expect(load({ flags: { localApiHost, sharedToken } }).settings.localApiHost).toBe(localApiHost);
      expect(load({ flags: { localApiHost, sharedTokenFile: 'secret' } }).settings.localApiHost).toBe(
        localApiHost,
      );
    },
  );
});
