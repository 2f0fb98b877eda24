/** A run whose plan was lost is closed without giving away what it was to keep. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { adoptRuns, startSupervised, type StepResult, type SupervisedStep } from '../src/index.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { membersOf, until, type RequestChanges } from './fixtures/setup.ts';
import { quick, setupSupervised, type SupervisedBundle } from './fixtures/supervised.ts';

const SECRET = 'correct horse battery';
const SAY_SECRET = `echo "say $SECRET"; echo '{"kind":"summary","body":{"text":"used ${SECRET}"}}' >&3`;
const keeping: RequestChanges = {
  secrets: [{ name: 'TOKEN', value: SECRET }],
  runtime: { env: { SECRET } },
  checkpoint: {},
};

/** A step at work whose supervisor is dead and whose plan is torn, as by a power cut. */
async function startAndLosePlan(
  bundle: SupervisedBundle,
  command: string,
  changes: RequestChanges,
): Promise<SupervisedStep> {
  const step = await startSupervised(bundle.requestOf(command, changes), quick);
  step.detach();
  await bundle.wrapperOf(step.runId);
  await bundle.killSupervisor();
  truncateSync(join(step.runDir, '.step.json'), 40);
  return step;
}

async function adopt(bundle: SupervisedBundle): Promise<StepResult | undefined> {
  const [adopted] = await adoptRuns(bundle.runsDir, quick);
  return adopted?.result;
}

describe('a run without its plan', () => {
  test('given output that holds a secret, when it is adopted, the secret is in no file of the record', async () => {
    const bundle = setupSupervised();
    const command = `while [ ! -e go ]; do sleep 0.02; done; ${SAY_SECRET}`;
    const step = await startAndLosePlan(bundle, command, keeping);
    writeFileSync(join(bundle.worktree, 'go'), '');
    await until('its end', () => readdirSync(step.runDir).includes('exit'));

    const result = await adopt(bundle);

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', exitCode: 0 });
    expect(result?.lifecycleEvents.map((event) => event.message).join('\n')).toContain('were discarded');
    expect(filesHolding(SECRET, step.runDir)).toEqual([]);
  });

  test('given a step at work, when it is adopted, it is ended: its limits are not known', async () => {
    const bundle = setupSupervised();
    const command = `trap '' TERM; echo up; ${SAY_SECRET}; while :; do sleep 0.02; done`;
    const step = await startAndLosePlan(bundle, command, keeping);

    const result = await adopt(bundle);

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', reason: 'runner_failed', survivors: [] });
    expect(membersOf(step.runDir)).toEqual([]);
    expect(filesHolding(SECRET, step.runDir)).toEqual([]);
  });
});

function filesHolding(text: string, directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path, 'utf8').includes(text));
}
