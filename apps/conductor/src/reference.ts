/** The reference page: every command, flag, variable and config key, made from what the program itself is made of. */
import { Writable } from 'node:stream';

import { createRealClock } from '@conductor-run/clock';

import { ENDPOINTS, RAW_ENDPOINTS } from './api/endpoints.ts';
import { createProgram } from './cli.ts';
import { type CommandNode, describeCommand, flattenCommands } from './command-tree.ts';
import { configJsonSchema } from './config.ts';
import { STEP_VARIABLES } from './step-variables.ts';
import { COMMAND_VIEWS, LINE_COMMANDS, schemaFile } from './views/command-views.ts';
import { environmentName, kebabCase, SETTINGS, settingKeys } from './settings.ts';

/** Writes the page, as Markdown with aligned tables. */
export function createReference(): string {
  const commands = flattenCommands(describeCommand(createProgram(SILENT_IO, () => undefined)));
  const sections = commands.filter((node) => node.path !== '' && node.isCallable).map(commandSection);
  return `# Reference

Made from the program by \`pnpm run reference:update\`; do not edit.

Order of precedence: flag, environment, config file, default. Every command takes \`--help\`.

## Settings

A path is relative to the state directory, which is relative to the config file's folder.

${table(
  ['flag', 'environment', 'file', 'default', 'what it is'],
  settingKeys().map((key) => [
    code(`--${kebabCase(key)}`),
    code(environmentName(key)),
    code(key),
    SETTINGS[key].defaultValue === '' ? '' : code(String(SETTINGS[key].defaultValue)),
    SETTINGS[key].description,
  ]),
)}

Besides them: \`CONDUCTOR_API\` is \`--api\`, the daemon to ask instead of the files here, for every command that has the flag. \`NO_COLOR\` and \`FORCE_COLOR\` switch colours, \`TERM=dumb\` switches the progress line off.

## Variables of a step

Set by conductor for every step; a config cannot set them.

${table(
  ['variable', 'what it holds', 'when'],
  STEP_VARIABLES.map(({ name, description, when = 'always' }) => [code(name), description, when]),
)}

## Jobs in the config file

Keys below \`jobs.<name>\`; beside \`jobs\` there is \`concurrencyKeys\`, the limits of what jobs share by \`concurrencyKey\`, such as \`{ gpu: 2 }\`. Durations are texts such as \`90s\`, \`30m\` or \`1h30m\`.

${table(['key', 'type', 'default', 'what it is'], jobKeys())}

## Commands

What a command prints with \`--json\` is one document, or one a line where that is said, and fits the JSON Schema named below it; the schemas are in the package as \`@conductor-run/conductor/schemas/NAME.json\`. \`null\` says that there is none; instants are UTC milliseconds.

${sections.join('\n\n')}

## HTTP API

Served by a daemon, described in full by its \`/openapi.json\`; the data of an answer is what the command prints with \`--json\`.

${table(
  ['route', 'what it does'],
  [...ENDPOINTS, ...RAW_ENDPOINTS.map((endpoint) => ({ ...endpoint, method: 'GET' }))].map((endpoint) => [
    code(`${endpoint.method} ${endpoint.path}`),
    endpoint.summary,
  ]),
)}
`;
}

function commandSection(node: CommandNode): string {
  const usage = ['conductor', node.path, ...node.args].join(' ');
  const options = node.options.map((option) => [
    code(option.flags),
    `${option.description}${option.defaultValue === undefined ? '' : ` (default: ${option.defaultValue})`}`,
  ]);
  const body = options.length === 0 ? '' : `\n\n${table(['option', 'what it does'], options)}`;
  const lines = LINE_COMMANDS.has(node.path) ? ', a document a line' : '';
  const schema =
    COMMAND_VIEWS[node.path] === undefined
      ? ''
      : `\n\n\`--json\`: [${schemaFile(node.path)}](../apps/conductor/schemas/${schemaFile(node.path)})${lines}`;
  return `### ${node.path}\n\n${code(usage)} — ${node.description}.${body}${schema}`;
}

/** One row for each key a job may have, nested ones with their path. */
function jobKeys(): readonly (readonly string[])[] {
  const job = at(configJsonSchema(), 'properties', 'jobs', 'additionalProperties');
  return keysBelow(job, '');
}

function keysBelow(schema: unknown, prefix: string): readonly (readonly string[])[] {
  return Object.entries(asRecord(at(schema, 'properties'))).flatMap(([key, property]) => {
    const path = `${prefix}${key}`;
    const items = at(property, 'items');
    const nested = at(property, 'properties') === undefined ? items : property;
    const below = keysBelow(nested, at(property, 'properties') === undefined ? `${path}[].` : `${path}.`);
    const { description, default: defaultValue } = asRecord(property);
    const shown = defaultValue === undefined || below.length > 0 ? '' : code(JSON.stringify(defaultValue));
    return [
      [code(path), typeOf(property), shown, typeof description === 'string' ? description : ''],
      ...below,
    ];
  });
}

function typeOf(schema: unknown): string {
  const { type, enum: values, anyOf, items } = asRecord(schema);
  if (Array.isArray(values)) return values.map((value) => code(String(value))).join(', ');
  if (Array.isArray(anyOf)) return anyOf.map(typeOf).join(' or ');
  if (type === 'array') return `list of ${typeOf(items)}`;
  return typeof type === 'string' ? type : 'any';
}

function at(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((found, key) => asRecord(found)[key], value);
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [heads, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', String.raw`\|`)));
  const widths = heads.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

/** The program is only read: nothing of this is used. */
const SILENT_IO = {
  stdout: new Writable(),
  stderr: new Writable(),
  isTerminal: false,
  columns: 80,
  hasColor: false,
  env: {},
  cwd: '/',
  clock: createRealClock(),
  onSignal: () => () => undefined,
  isTerminalClosed: () => false,
  outliveReader: () => undefined,
  hasInput: false,
};
