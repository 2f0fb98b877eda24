/** Which test reports are recorded at all. */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

describe('writeTestOutput', () => {
  test('given a FIFO as the report, when written, it is refused and nothing waits for a writer', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    execFileSync('mkfifo', [path]);

    await expect(manager.writeTestOutput({ path })).rejects.toMatchObject({ code: 'report-unreadable' });
  });

  test('given a report of an earlier run, when written with the time of this one, nothing is recorded', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    writeFileSync(path, '1..1\nok 1\n');
    const { ctimeMs } = statSync(path);

    await expect(
      manager.writeTestOutput({ path, notBeforeMs: Math.ceil(ctimeMs) + 11 }),
    ).resolves.toBeUndefined();

    expect(await manager.list()).toEqual([]);
    await expect(manager.writeTestOutput({ path, notBeforeMs: Math.floor(ctimeMs) })).resolves.toMatchObject({
      seq: 1,
      totals: { passed: 1 },
    });
    await expect(manager.writeTestOutput({ path, notBeforeMs: -1 })).rejects.toThrow(RangeError);
  });

  test('given a report whose time was set back by what made it, when written, it counts as of this run', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    writeFileSync(path, '1..1\nok 1\n');
    utimesSync(path, 1, 1);
    const { ctimeMs } = statSync(path);

    const record = await manager.writeTestOutput({ path, notBeforeMs: Math.floor(ctimeMs) });

    expect(record).toMatchObject({ type: 'test_output' });
  });
});

describe('redaction', () => {
  const redactor = {
    redact: (text: string) => text.replaceAll('p<a&b>"s', '[redacted:pw]'),
    contains: (bytes: Uint8Array) => Buffer.from(bytes).includes('p<a&b>"s'),
  };
  const encoded = 'p&lt;a&amp;b&gt;&quot;s';

  test.for([
    ['an attribute', `<failure message="in ${encoded} out"/>`],
    ['an attribute in single quotes', `<failure message='in ${encoded} out'/>`],
    ['a text with character references', '<failure message="in ">in p&#60;a&#x26;b&#62;&#34;s out</failure>'],
    ['a text with a quote as it is', '<failure message="in ">in p&lt;a&amp;b&gt;"s out</failure>'],
    ['a CDATA section', '<failure message="in "><![CDATA[in p<a&b>"s out]]></failure>'],
  ])('given a secret in %s of JUnit, when written, it is in no file', async ([, failure]) => {
    const { manager, temp, directory } = setup({ manager: { redactor } });
    const path = join(temp, 'report');
    writeFileSync(path, `<testsuite><testcase name="&lt;t&gt;">${failure}</testcase></testsuite>`);

    const record = await manager.writeTestOutput({ path });

    expect(record?.failures).toMatchObject([{ name: '<t>' }]);
    expect(record?.failures[0]?.message).toMatch(/in \[redacted:pw\] out$/);
    const report = readFileSync(join(directory, '0001/report.xml'), 'utf8');
    expect(report).toContain('[redacted:pw]');
    expect(report).toContain('name="&lt;t&gt;"');
    expect(readFileSync(join(directory, 'index.ndjson'), 'utf8')).not.toContain('a&b');
  });

  test('given a secret in escapes of JSON, when written, it is in no file', async () => {
    const { manager, temp, directory } = setup({ manager: { redactor } });
    const path = join(temp, 'report');
    const failed = '"status":"failed","failureMessages":["in p\\u003ca\\u0026b>\\"s out"]';
    const assertion = `{"fullName":"t",${failed}}`;
    const file = `{"name":"f","status":"failed","assertionResults":[${assertion}]}`;
    writeFileSync(path, `{"numTotalTests":1,"numPassedTests":0,"numFailedTests":1,"testResults":[${file}]}`);

    const record = await manager.writeTestOutput({ path });

    expect(record?.failures).toEqual([{ name: 't', message: 'in [redacted:pw] out', file: 'f' }]);
    expect(readFileSync(join(directory, '0001/report.json'), 'utf8')).not.toContain('u003c');
  });
});

describe('parsing', () => {
  test.for([
    ['comments', `<testsuite>${'<!--'.repeat(100_000)}</testsuite>`],
    ['CDATA sections', `<testsuite>${'<![CDATA['.repeat(100_000)}</testsuite>`],
    ['declarations', `<testsuite>${'<!'.repeat(100_000)}`],
  ])('given a report of %s that are never closed, when written, it is refused', async ([, text]) => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    writeFileSync(path, text ?? '');

    await expect(manager.writeTestOutput({ path })).rejects.toMatchObject({ code: 'report-unreadable' });
  });

  test('given a hundred thousand failures and attributes that go on and on, when written, all are counted', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    const count = 100_000;
    writeFileSync(path, `1..${count}\n${'not ok\n  why\n'.repeat(count)}`);
    const tap = await manager.writeTestOutput({ path });
    writeFileSync(path, `<testsuite><testcase ${'a'.repeat(count)} name="t"/></testsuite>`);
    const junit = await manager.writeTestOutput({ path });

    expect(tap).toMatchObject({ totals: { failed: count }, failures: { 0: { message: 'why' } } });
    expect(junit).toMatchObject({ totals: { passed: 1 } });
  });
});
