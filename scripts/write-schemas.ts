// `pnpm run check:schemas`: what `--json` and the HTTP API print is published as JSON Schema, one file a command, and as
// TypeScript interfaces; both are made from the views. `pnpm run schemas:update` writes them anew.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  COMMAND_VIEWS,
  commandJsonSchema,
  FAILURE_FILE,
  failureJsonSchema,
  schemaFile,
  viewJsonSchemas,
} from '../apps/conductor/src/views/command-views.ts';
import '../apps/conductor/src/api/stream-events.ts';
import { report } from './report.ts';
import { repositoryRoot } from './workspace.ts';

const FOLDER = 'apps/conductor/schemas';
const TYPES = 'apps/conductor/src/views/types.ts';

/** A JSON Schema, as far as views use it. */
interface JsonSchema {
  readonly $ref?: string;
  readonly const?: string;
  readonly enum?: readonly (string | null)[];
  readonly anyOf?: readonly JsonSchema[];
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
}

/** Every file that is made from the views, by its path from the root. */
export function createSchemaFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const command of Object.keys(COMMAND_VIEWS)) {
    const text = `${JSON.stringify(commandJsonSchema(command), undefined, 2)}\n`;
    files.set(`${FOLDER}/${schemaFile(command)}`, text);
  }
  files.set(`${FOLDER}/${FAILURE_FILE}`, `${JSON.stringify(failureJsonSchema(), undefined, 2)}\n`);
  const schemas = viewJsonSchemas((name) => name) as Readonly<Record<string, JsonSchema>>;
  const declarations = Object.keys(schemas)
    .toSorted()
    .map((name) => declare(name, schemas));
  files.set(TYPES, `${TYPES_HEADER}\n${declarations.join('\n')}`);
  return files;
}

/**
 * Compares the files with the views.
 *
 * @param root - absolute path of the repository
 * @param wanted - what the files should hold
 * @param update - write them instead of complaining
 */
export function findSchemaProblems(
  root: string,
  wanted: ReadonlyMap<string, string>,
  update: boolean,
): readonly string[] {
  const folder = join(root, FOLDER);
  const stale = (existsSync(folder) ? readdirSync(folder) : [])
    .map((name) => `${FOLDER}/${name}`)
    .filter((file) => !wanted.has(file));
  const changed = [...wanted].filter(([file, text]) => {
    const path = join(root, file);
    return !existsSync(path) || readFileSync(path, 'utf8') !== text;
  });
  if (!update) {
    return [
      ...stale.map((file) => `${file} belongs to no command: run pnpm run schemas:update`),
      ...changed.map(([file]) => `${file} is not what the views say: run pnpm run schemas:update`),
    ];
  }
  for (const file of stale) rmSync(join(root, file));
  for (const [file, text] of changed) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return [];
}

const TYPES_HEADER = `/**
 * What \`--json\` and the HTTP API show, as interfaces.
 * Made from the views by \`pnpm run schemas:update\`; do not edit.
 */
`;

function declare(name: string, schemas: Readonly<Record<string, JsonSchema>>): string {
  const schema = schemas[name] ?? {};
  const doc = comment(schema.description ?? '', '');
  if (schema.properties === undefined) return `${doc}export type ${name} = ${typeOf(schema)};\n`;
  const required = new Set(schema.required);
  const fields = Object.entries(schema.properties).map(([key, property]) => {
    const described = property.description ?? schemas[property.$ref ?? '']?.description ?? '';
    const [mark, absent] = required.has(key) ? ['', ''] : ['?', ' | undefined'];
    return `${comment(described, '  ')}  readonly ${key}${mark}: ${typeOf(property)}${absent};\n`;
  });
  const isOpen = typeof schema.additionalProperties === 'object';
  const rest = isOpen ? '  /** Whatever else there is. */\n  readonly [name: string]: unknown;\n' : '';
  return `${doc}export interface ${name} {\n${fields.join('')}${rest}}\n`;
}

function comment(description: string, indent: string): string {
  return description === '' ? '' : `${indent}/** ${description}. */\n`;
}

function typeOf(schema: JsonSchema): string {
  const { $ref, anyOf, items, additionalProperties, type } = schema;
  if ($ref !== undefined) return $ref;
  if (schema.const !== undefined) return `'${schema.const}'`;
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => (value === null ? 'null' : `'${value}'`)).join(' | ');
  }
  if (anyOf !== undefined) return anyOf.map(typeOf).join(' | ');
  if (items !== undefined) {
    const item = typeOf(items);
    return item.includes(' ') ? `readonly (${item})[]` : `readonly ${item}[]`;
  }
  if (typeof additionalProperties === 'object') {
    return `Readonly<Record<string, ${typeOf(additionalProperties)}>>`;
  }
  if (type === undefined) return 'unknown';
  return [type]
    .flat()
    .map((word) => (word === 'integer' ? 'number' : word))
    .join(' | ');
}

if (import.meta.main) {
  const update = process.argv.includes('--update');
  report('check:schemas', findSchemaProblems(repositoryRoot, createSchemaFiles(), update));
}
