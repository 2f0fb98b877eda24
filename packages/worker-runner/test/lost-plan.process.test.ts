/** A run whose plan was lost is closed without giving away what it was to keep. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import {
  adoptRuns,
  createHost,
  startSupervised,
  type StepResult,
  type SupervisedStep,
} from '../src/index.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { isAlive, membersOf, until, type RequestChanges } from './fixtures/setup.ts';
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

  test.for(['without', 'with'] as const)(
    'given another boot and a stranger with the numbers of its wrapper, when it is adopted %s an exit, the stranger is left alone',
    async (exit) => {
      const bundle = setupSupervised();
      const step = await startSupervised(bundle.requestOf('sleep 300'), quick);
      step.detach();
      const wrapper = await bundle.wrapperOf(step.runId);
      await bundle.killSupervisor();
      process.kill(-wrapper, 'SIGKILL');
      await until('its end', () => membersOf(step.runDir).length === 0);
      const stranger = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
      onTestFinished(() => void stranger.kill('SIGKILL'));
      await once(stranger, 'spawn');
      const pid = stranger.pid ?? 0;
      // What a power cut leaves: the plan was not on the disk yet, and the record is of the boot before.
      rmSync(join(step.runDir, '.step.json'));
      const bootId = createHost().processes.bootId() ?? '';
      for (const name of ['meta.json', 'state.json', 'owner.1.json']) {
        const path = join(step.runDir, name);
        writeFileSync(path, readFileSync(path, 'utf8').replaceAll(bootId, 'another-boot'));
      }
      writeFileSync(join(step.runDir, 'pid'), `${pid} ${readFileSync(`/proc/${pid}/stat`, 'utf8')}`);
      if (exit === 'with') writeFileSync(join(step.runDir, 'exit'), '3\n');

      const result = await adopt(bundle);

      expectEnvelope(result);
      expect(result).toMatchObject(
        exit === 'with' ? { outcome: 'failed', exitCode: 3 } : { outcome: 'lost', reason: 'reboot' },
      );
      expect(isAlive(pid)).toBe(true);
    },
  );
});

function filesHolding(text: string, directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path, 'utf8').includes(text));
}
