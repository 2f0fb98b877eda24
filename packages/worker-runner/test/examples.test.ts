/** The helpers in examples/step-events do what their README says, in each language, inside and outside of a run. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { readStepEvents, runStep } from '../src/index.ts';
import { setup } from './fixtures/setup.ts';

const examples = join(import.meta.dirname, '../../../examples/step-events');

const SHELL = `. ${examples}/step-events.sh
  step_event progress '{"current":1,"total":3}'
  step_event summary '{"text":"it is \\"done\\""}'
  step_authorize tool.call good && echo allowed; step_authorize tool.call bad || echo denied`;
const NODE = `import { authorize, stepEvent } from '${examples}/step-events.mjs';
  stepEvent('progress', { current: 1, total: 3 });
  stepEvent('summary', { text: 'it is "done"' });
  if (authorize('tool.call', 'good').ok) console.log('allowed');
  if (!authorize('tool.call', 'bad').ok) console.log('denied');`;
const PYTHON = `import sys; sys.path.insert(0, '${examples}')
from step_events import authorize, step_event
step_event("progress", {"current": 1, "total": 3})
step_event("summary", {"text": 'it is "done"'})
if authorize("tool.call", "good")["ok"]: print("allowed")
if not authorize("tool.call", "bad")["ok"]: print("denied")`;

const COMMANDS: readonly (readonly [string, readonly string[]])[] = [
  ['shell', ['sh', '-c', SHELL]],
  ['Node', [process.execPath, '--input-type=module', '-e', NODE]],
  ['Python', ['python3', '-B', '-c', PYTHON]],
];

describe('step-events', () => {
  test.for(COMMANDS)(
    'given a %s step, when it reports and asks, it is heard and answered',
    async ([, command]) => {
      const { requestOf } = setup();

      const result = await runStep(requestOf(command), {
        authorize: ({ target }) =>
          target === 'good'
            ? { ok: true }
            : { ok: false, error: { code: 'PERMISSION_DENIED', message: 'no' } },
      });

      expect(result).toMatchObject({ outcome: 'completed', summary: 'it is "done"' });
      expect(result.logSummary.tail).toEqual(['allowed', 'denied']);
      expect(readStepEvents(result.paths.runDir)[0]).toMatchObject({
        seq: 1,
        kind: 'progress',
        body: { current: 1, total: 3 },
      });
    },
  );

  test.for(COMMANDS)(
    'given a %s step and an answer that came once more, when it asks, it goes by the answer to its own question',
    async ([, command]) => {
      const { requestOf } = setup();
      const again = `echo '{"id":"of-before","ok":true}' >&4; exec "$@"`;

      const result = await runStep(requestOf(['sh', '-c', again, 'sh', ...command]), {
        authorize: ({ target }) =>
          target === 'good'
            ? { ok: true }
            : { ok: false, error: { code: 'PERMISSION_DENIED', message: 'no' } },
      });

      expect(result.logSummary.tail).toEqual(['allowed', 'denied']);
    },
  );

  test.for(COMMANDS)('given a %s step by hand, when it reports and asks, nothing happens', ([, command]) => {
    const [program = '', ...args] = command;
    const env = { PATH: process.env['PATH'] };

    expect(execFileSync(program, args, { encoding: 'utf8', env })).toBe('allowed\n');
  });
});
