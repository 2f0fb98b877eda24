import { describe, expect, test } from 'vitest';

import { line } from '../src/api/endpoint.ts';
import { createPaint, forTerminal, stripControl } from '../src/terminal/style.ts';
import { createCluster } from './fixtures/cluster.ts';
import { STEADY_TIMES } from './fixtures/daemon.ts';

/** Clears the screen, sets the title, asks for an answer, and clears the screen in one byte less. */
const HOSTILE = '\u001B[2Jone\u001B]0;title\u0007 two\u001B[c\u009B2J three\u0085\u001B\u001B[1A\rfour';
// eslint-disable-next-line no-control-regex -- finding control characters is the point
const CONTROL = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/;
const HARMLESS = 'one two threefour';

describe('text for people', () => {
  test('given escapes in both spellings, they are gone, and so are line ends where a value must stay on its line', () => {
    expect(stripControl(`${HOSTILE}\n`)).toBe(HARMLESS);
    expect(forTerminal({ hasColor: true }, `${HOSTILE}\n\tnext`)).toBe(`${HARMLESS}\n\tnext`);
  });

  test.for(['good', 'bad', 'warn', 'busy', 'dim', 'strong'] as const)(
    'given the tone %s, it stays where colours are wanted and only there; a colour of others goes',
    (tone) => {
      const painted = createPaint({ hasColor: true })(tone, 'text');

      expect(forTerminal({ hasColor: true }, `${painted}\u001B[8mhidden`)).toBe(`${painted}hidden`);
      expect(forTerminal({ hasColor: false }, painted)).toBe('text');
    },
  );

  test('given a key with a control character of one byte, the HTTP API refuses it', () => {
    expect(line.safeParse('a\u009B2Jb').success).toBe(false);
    expect(line.safeParse('a\u00A0ä').success).toBe(true);
  });
});

describe('what a step or a submitter wrote', () => {
  const SUMMARY = JSON.stringify({ kind: 'summary', body: { text: `${HOSTILE}\nsecond line` } });

  test('given a summary and a key with escapes, start, run and jobs show print them without', async () => {
    const { scratch, store } = await createCluster(
      `${STEADY_TIMES}jobs:\n  job: { command: 'cat said.json >&3; exit 3' }\n`,
    );
    scratch.write({ 'said.json': `${SUMMARY}\n` });
    await store.enqueue({ kind: 'job', key: HOSTILE });

    const started = await scratch.conductor('start', '--run-once');
    const ran = await scratch.conductor('run', 'job');
    const shown = await scratch.conductor('jobs', 'show', 'job', '--key', HOSTILE);

    expect(started.stdout).toMatch(/ failed job-\S+ {2}one two threefoursecond line/);
    expect(ran.stderr).toContain(`: ${HARMLESS}second line`);
    expect(shown.stdout).toContain(`job (${HARMLESS})`);
    expect(CONTROL.test(`${started.stdout}${ran.stderr}${shown.stdout}`)).toBe(false);
  });
});
