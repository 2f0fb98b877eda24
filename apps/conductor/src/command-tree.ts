/** The commands as data, read off the program itself: what completion and the reference page are made from. */
import type { Command } from 'commander';

/** One command and what it takes. */
export interface CommandNode {
  /** Its words behind the program's name, such as `jobs list`; empty for the program. */
  readonly path: string;
  readonly description: string;
  /** As in the usage line, such as `<job>`. */
  readonly args: readonly string[];
  readonly options: readonly OptionNode[];
  readonly children: readonly CommandNode[];
  /** Whether it can be called, or only its children can. */
  readonly isCallable: boolean;
}

/** One option. */
export interface OptionNode {
  /** As in the help, such as `-f, --follow`. */
  readonly flags: string;
  /** `--follow`. */
  readonly long: string;
  /** `-f`, `undefined` when it has none. */
  readonly short: string | undefined;
  readonly description: string;
  readonly takesValue: boolean;
  /** What it is when not given, as text. */
  readonly defaultValue: string | undefined;
}

/**
 * Reads a command and everything below it.
 *
 * @param command - the program, or a command of it
 * @param path - its words
 */
export function describeCommand(command: Command, path = ''): CommandNode {
  const children = command.commands.map((child) =>
    describeCommand(child, path === '' ? child.name() : `${path} ${child.name()}`),
  );
  return {
    path,
    description: command.description(),
    args: command.registeredArguments.map((argument) => {
      const word = `${argument.name()}${argument.variadic ? '...' : ''}`;
      return argument.required ? `<${word}>` : `[${word}]`;
    }),
    options: command.options.flatMap((option) => {
      const { flags, long, short, description, required, optional } = option;
      if (long === undefined || long === null) return [];
      const defaultValue: unknown = option.defaultValue;
      return {
        flags,
        long,
        short: short ?? undefined,
        description,
        takesValue: required || optional,
        defaultValue: typeof defaultValue === 'string' ? defaultValue : undefined,
      };
    }),
    children,
    isCallable: children.length === 0,
  };
}

/** A command and all below it, in the order of the help. */
export function flattenCommands(node: CommandNode): readonly CommandNode[] {
  return [node, ...node.children.flatMap(flattenCommands)];
}
