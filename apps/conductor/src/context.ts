/** What every command gets: its io, its config and how it prints. Built once per invocation, from the options common to all. */
import { Option, type Command } from 'commander';
import type { z } from 'zod';

import { type Config, type ConfigInput, loadConfig, loadConfigToRead } from './config.ts';
import type { CliIo } from './io.ts';
import { kebabCase, type Settings, SETTINGS } from './settings.ts';
import { createPaint, forTerminal, type Paint } from './terminal/style.ts';

/** What commander parsed: texts, and `true` for options without a value. */
export type CliOptions = Readonly<Record<string, string | boolean | undefined>>;

/** One invocation. */
export interface Context {
  readonly io: CliIo;
  readonly config: Config;
  /** Reads the config anew, as it was read for this invocation; throws as `loadConfig` does. */
  readonly readConfig: () => Config;
  readonly paint: Paint;
  /** Whether `--json` was given. */
  readonly json: boolean;
  /** The daemon to ask instead of the files here: `--api` or `CONDUCTOR_API`; `undefined` for the files. */
  readonly apiUrl: string | undefined;
  /** Writes text for people to stdout, without what others wrote into it to steer the terminal. */
  print(text: string): void;
  /** The same, to stderr. */
  warn(text: string): void;
  /** Writes one JSON document to stdout: the view that is published as this command's schema. */
  printJson<View>(schema: z.ZodType<View>, value: View): void;
  /** Writes one JSON document as a line of its own, for what has no end to wait for. */
  printJsonLine<View>(schema: z.ZodType<View>, value: View): void;
}

/** Settings that make sense for every command that reads the record. */
const COMMON_SETTINGS: readonly (keyof Settings)[] = ['store', 'stateDir', 'runsDir'];

/**
 * Adds `--config`, `--json` and the flags of settings to a command.
 *
 * @param command - what to add to
 * @param settings - the settings that have a flag here
 */
export function withCommonOptions(
  command: Command,
  settings: readonly (keyof Settings)[] = COMMON_SETTINGS,
): Command {
  command.option('--config <file>', 'config file; default: the nearest conductor.yaml upwards');
  command.option('--json', 'print one JSON document instead of text');
  for (const key of settings) {
    const { description, defaultValue } = SETTINGS[key];
    const shown = defaultValue === '' ? '' : ` (default: ${defaultValue})`;
    command.addOption(new Option(`--${kebabCase(key)} <value>`, `${description}${shown}`));
  }
  return command;
}

/**
 * Adds `--api` and what it needs, for commands that work on a daemon elsewhere.
 *
 * @param command - what to add to
 */
export function withApiOption(command: Command): Command {
  command.option(
    '--api <url>',
    'ask the daemon there instead, such as http://127.0.0.1:7420 (CONDUCTOR_API)',
  );
  for (const key of ['sharedToken', 'sharedTokenFile'] as const) {
    command.addOption(new Option(`--${kebabCase(key)} <value>`, SETTINGS[key].description));
  }
  return command;
}

/**
 * Reads the config and makes the context of a command.
 *
 * @param io - the outside world
 * @param options - what commander parsed, camel-case
 * @param isFileIgnored - whether to go without what the config file says
 * @throws ConductorError as `loadConfig` does
 */
export function createContext(io: CliIo, options: CliOptions, isFileIgnored = false): Context {
  const readConfig = (): Config => loadConfig({ ...toConfigInput(io, options), isFileIgnored });
  return contextOf(io, options, readConfig(), readConfig);
}

/**
 * The same for commands that read or steer the record and need no job of the config: a config that cannot be used gives
 * a warning, as long as it says where the record is.
 *
 * @param io - the outside world
 * @param options - what commander parsed, camel-case
 * @throws ConductorError as `loadConfigToRead` does
 */
export function createReadingContext(io: CliIo, options: CliOptions): Context {
  const input = toConfigInput(io, options);
  const { config, problem } = loadConfigToRead(input);
  const context = contextOf(io, options, config, () => loadConfig(input));
  if (problem !== undefined) {
    context.warn(`${context.paint('warn', 'warning')} ${problem.message}; what it does say is used\n`);
  }
  return context;
}

function toConfigInput(io: CliIo, { config, json: _json, api: _api, ...flags }: CliOptions): ConfigInput {
  const configPath = typeof config === 'string' ? config : undefined;
  return { cwd: io.cwd, env: io.env, flags, configPath };
}

function contextOf(io: CliIo, { json, api }: CliOptions, config: Config, readConfig: () => Config): Context {
  return {
    io,
    config,
    readConfig,
    paint: createPaint(io),
    json: json === true,
    apiUrl: typeof api === 'string' ? api : apiOfEnvironment(io),
    print: (text) => void io.stdout.write(forTerminal(io, text)),
    warn: (text) => void io.stderr.write(forTerminal(io, text)),
    printJson: (_schema, value) => void io.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`),
    printJsonLine: (_schema, value) => void io.stdout.write(`${JSON.stringify(value)}\n`),
  };
}

/** The daemon that `CONDUCTOR_API` names; an empty variable is an unset one, as for settings. */
export function apiOfEnvironment({ env }: Pick<CliIo, 'env'>): string | undefined {
  const url = env['CONDUCTOR_API'];
  return url === '' ? undefined : url;
}
