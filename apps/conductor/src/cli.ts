/** The command line: which commands there are, and how an invocation ends. Commands translate; packages decide. */
import { Command, CommanderError } from 'commander';

import { addCheckpointsCommand } from './commands/checkpoints.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addConfigCommand } from './commands/config.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEnqueueCommand } from './commands/enqueue.ts';
import { addExecCommand } from './commands/exec.ts';
import { addForecastCommand } from './commands/forecast.ts';
import { addInitCommand } from './commands/init.ts';
import { addJobsCommand } from './commands/jobs.ts';
import { addLogsCommand } from './commands/logs.ts';
import { addLeaderCommand, addNodesCommand } from './commands/nodes.ts';
import { addReloadCommand } from './commands/reload.ts';
import { addRunCommand } from './commands/run.ts';
import { addRunsCommand } from './commands/runs.ts';
import { addSimulateCommand } from './commands/simulate.ts';
import { addStartCommand } from './commands/start.ts';
import { addStatusCommand } from './commands/status.ts';
import { addStoreCommand } from './commands/store.ts';
import { addWhyCommand } from './commands/why.ts';
import { addWorktreesCommand } from './commands/worktrees.ts';
import { apiOfEnvironment } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { printFailure, toFailure } from './failure.ts';
import type { CliIo } from './io.ts';
import { createPaint } from './terminal/style.ts';
import { VERSION } from './version.ts';
import { LINE_COMMANDS } from './views/command-views.ts';

/**
 * Runs one command line to its end.
 *
 * @param args - the arguments behind the program's name
 * @param io - the outside world
 * @returns the exit code; every error that can be expected is printed and turned into one
 */
export async function runCli(args: readonly string[], io: CliIo): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  // Until commander has read the arguments they tell themselves whether documents are wanted.
  let form = documentsOf(
    args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).includes('--json'),
  );
  program.hook('preAction', (_program, command) => {
    form = documentsOf(command.opts()['json'] === true, wordsOf(command));
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and the version have been printed by now; help in place of a command that was left out says enough, too.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    if (error instanceof CommanderError && error.code === 'commander.help' && form === 'text')
      return EXIT.usage;
    const failure = toFailure(error, program, args);
    if (failure === undefined) throw error;
    printFailure(failure, io, form);
    return failure.exitCode;
  }
}

function documentsOf(isJson: boolean, words = ''): 'text' | 'document' | 'line' {
  if (!isJson) return 'text';
  return LINE_COMMANDS.has(words) ? 'line' : 'document';
}

/** Such as `jobs list`. */
function wordsOf(command: Command): string {
  const { parent } = command;
  return parent?.parent === null || parent === null ? command.name() : `${wordsOf(parent)} ${command.name()}`;
}

/** Adds one command to the program; `finish` gets the exit code when it is not 0. */
export type AddCommand = (program: Command, io: CliIo, finish: (exitCode: number) => void) => void;

const COMMANDS: readonly AddCommand[] = [
  addInitCommand,
  addStartCommand,
  addStatusCommand,
  addReloadCommand,
  addRunCommand,
  addExecCommand,
  addEnqueueCommand,
  addJobsCommand,
  addWhyCommand,
  addForecastCommand,
  addSimulateCommand,
  addRunsCommand,
  addCheckpointsCommand,
  addWorktreesCommand,
  addNodesCommand,
  addLeaderCommand,
  addLogsCommand,
  addDoctorCommand,
  addStoreCommand,
  addConfigCommand,
  addCompletionCommand,
];

/**
 * Builds the command line.
 *
 * @param io - the outside world
 * @param finish - gets the exit code when it is not 0
 */
export function createProgram(io: CliIo, finish: (exitCode: number) => void): Command {
  const program = new Command('conductor');
  program
    .description('Runs long steps on your own machines and never loses track of them.')
    .version(VERSION, '-V, --version')
    .addHelpText('after', '\nExamples:\n  conductor init\n  conductor exec -- npm test\n  conductor status')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      // Said in our own words once it has been thrown.
      outputError: () => undefined,
    });
  for (const add of COMMANDS) add(program, io, finish);
  program.hook('preAction', (_program, command) => noteLocal(command, io));
  return program;
}

/** Whoever asks a daemon elsewhere must not take the files here for its record. */
function noteLocal(command: Command, io: CliIo): void {
  const flags = new Set(command.options.map((option) => option.long));
  if (apiOfEnvironment(io) === undefined || flags.has('--api') || !flags.has('--store')) return;
  const note = `${command.name()} works on the files here, not on the daemon CONDUCTOR_API names`;
  io.stderr.write(`${createPaint(io)('dim', note)}\n`);
}
