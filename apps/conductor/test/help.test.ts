import { Writable } from 'node:stream';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createProgram, runCli } from '../src/cli.ts';
import { describeCommand, flattenCommands } from '../src/command-tree.ts';

function setup() {
  let printed = '';
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      printed += chunk.toString();
      done();
    },
  });
  const io = {
    stdout,
    stderr: stdout,
    isTerminal: false,
    isTerminalClosed: () => false,
    columns: 80,
    hasColor: false,
    env: {},
    cwd: '/',
    clock: createRealClock(),
    onSignal: () => () => undefined,
    outliveReader: () => undefined,
    hasInput: false,
  };
  const commands = flattenCommands(describeCommand(createProgram(io, () => undefined)));
  return { io, commands, printed: () => printed };
}

describe('help', () => {
  test('given any command, group or the program itself, its help has an example; what can be called takes --json', async () => {
    const { io, commands, printed } = setup();

    const withoutJson = commands.filter(
      (node) => node.isCallable && !node.options.some((option) => option.long === '--json'),
    );
    const withoutExample: string[] = [];
    for (const { path } of commands) {
      const before = printed().length;
      await runCli([...path.split(' ').filter(Boolean), '--help'], io);
      if (!/\nExamples?:\n {2}/.test(printed().slice(before))) withoutExample.push(path);
    }

    expect(commands.map(({ path }) => path)).toEqual(expect.arrayContaining(['', 'runs', 'runs list']));
    expect(withoutJson.map((node) => node.path)).toEqual([]);
    expect(withoutExample).toEqual([]);
  });
});
