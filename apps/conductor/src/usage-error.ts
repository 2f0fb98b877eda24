/** What commander refuses, in the words of every other refusal. Invariant: the message names what was typed and what was expected. */
import type { Command, CommanderError } from 'commander';

import { describeCommand, flattenCommands } from './command-tree.ts';
import { ConductorError } from './errors.ts';
import { suggest } from './suggest.ts';

/**
 * Says what is wrong with a command line.
 *
 * @param error - commander's
 * @param program - the command line
 * @param args - what was called
 */
export function toUsageError(
  error: CommanderError,
  program: Command,
  args: readonly string[],
): ConductorError {
  const { command, words, rest } = findCommand(program, args);
  const called = ['conductor', ...words].join(' ');
  const [next] = rest;
  if (command.commands.length > 0 && next !== undefined && !next.startsWith('-')) {
    return unknownCommand(program, command, words, next);
  }
  const [, named = ''] = /'([^']*)'/.exec(error.message) ?? [];
  const help = `${called} --help`;
  switch (error.code) {
    case 'commander.unknownOption': {
      const near = suggest(named, longOptions(command));
      const hint = near === undefined ? help : `Did you mean "${near}"?`;
      return usage(`Cannot use option "${named}": ${called} has none of that name`, hint, error);
    }
    case 'commander.missingArgument':
      return usage(`Cannot run ${called}: argument "${named}" is missing`, help, error);
    case 'commander.optionMissingArgument':
      return usage(`Cannot use option "${named}": its value is missing`, help, error);
    case 'commander.excessArguments': {
      const wanted = command.registeredArguments.length;
      const few = wanted === 0 ? 'none' : `at most ${wanted}`;
      return usage(`Cannot run ${called}: too many arguments, expected ${few}`, help, error);
    }
    case 'commander.help':
      return usage(`Cannot run ${called}: expected a command`, help, error);
    default: {
      const said = error.message.replace(/^error: /, '').split('\n', 1)[0] ?? '';
      return usage(`Cannot run ${called}: ${said}`, help, error);
    }
  }
}

function usage(message: string, hint: string, cause?: CommanderError): ConductorError {
  return new ConductorError('usage', message, { hint, ...(cause !== undefined && { cause }) });
}

/** The command the words lead to, and what comes behind them. */
function findCommand(
  program: Command,
  args: readonly string[],
): { readonly command: Command; readonly words: readonly string[]; readonly rest: readonly string[] } {
  let command = program;
  for (const [index, word] of args.entries()) {
    const child = command.commands.find((each) => each.name() === word);
    if (child === undefined) return { command, words: args.slice(0, index), rest: args.slice(index) };
    command = child;
  }
  return { command, words: args, rest: [] };
}

function unknownCommand(
  program: Command,
  command: Command,
  words: readonly string[],
  typed: string,
): ConductorError {
  const names = command.commands.map((child) => child.name());
  const near = suggest(typed, names);
  const elsewhere = flattenCommands(describeCommand(program))
    .filter(({ path, isCallable }) => isCallable && path.split(' ').at(-1) === typed)
    .map(({ path }) => `"conductor ${path}"`);
  const nearest = near === undefined ? [] : [`"${['conductor', ...words, near].join(' ')}"`];
  const guesses = elsewhere.length > 0 ? elsewhere : nearest;
  const hint =
    guesses.length === 0
      ? `${['conductor', ...words].join(' ')} --help`
      : `Did you mean ${guesses.join(' or ')}?`;
  return usage(
    `Cannot find command "${['conductor', ...words, typed].join(' ')}": expected one of ${names.join(', ')}`,
    hint,
  );
}

/** Those of its children too: one of them is what runs when none is named. */
function longOptions(command: Command): readonly string[] {
  return [command, ...command.commands].flatMap((each) => each.options.flatMap(({ long }) => long ?? []));
}
