/**
 * What is wrong with a config file, in words that name the key, its value and what was expected.
 * Invariant: no value that may be a secret is shown.
 */
import type { z } from 'zod';

import { SETTINGS, settingKeys } from './settings.ts';
import { suggest } from './suggest.ts';

/**
 * Says in the words of people who write YAML what is wrong.
 *
 * @param issue - what zod found
 * @param file - what the file says
 * @param schema - the JSON Schema of the file, whose keys are known
 */
export function describeIssue(issue: z.core.$ZodIssue, file: unknown, schema: unknown): string[] {
  const where = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const full = where === '' ? key : `${where}.${key}`;
      return `"${full}" is not a known key${hintAtKey(key, issue.path, schema)}`;
    });
  }
  const value: unknown = issue.path.reduce<unknown>(
    (at, key) => (isRecord(at) ? at[String(key)] : undefined),
    file,
  );
  const shown = show(where, value);
  // A record says of a bad key that it is one, not what it would have to be.
  const nested = issue.code === 'invalid_key' ? issue.issues[0]?.message : undefined;
  if (nested !== undefined) return [`"${where}" cannot be a name, ${nested}`];
  const wanted = issue.code === 'invalid_type' ? issue.message.replace(ZOD_TYPE, wantedType) : issue.message;
  return [`"${where === '' ? 'the file' : where}" is ${shown}, ${wanted}`];
}

/** A value that says what it is: of what holds others, only their names or their number. */
function show(where: string, value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isRecord(value)) return `{${Object.keys(value).join(', ')}}`;
  const isAddress = typeof value === 'string' && URL.canParse(value);
  const isHidden = isSecret(where) || (HOLDS_SECRETS.test(where) && !isAddress);
  return isHidden ? HIDDEN : JSON.stringify(value, showServerOnly);
}

/** What a step's variables are set to, and where a webhook goes. */
const HOLDS_SECRETS = /^jobs\.[^.]+\.(?:env\.set|notify\.webhook)(?:\.|$)/;

/** What is meant by a key that is none: the nearest one, or what we have in its place. */
function hintAtKey(key: string, keyPath: readonly PropertyKey[], schema: unknown): string {
  const isOfJob = keyPath.length === 2 && keyPath[0] === 'jobs';
  if (isOfJob && WORDS_FOR_ORDER.has(key.toLowerCase().replaceAll(/[-_]/g, ''))) {
    return ': `watch: { job: NAME }` runs a job after each success of another one, `steps` run in order within a job';
  }
  const near = suggest(key, knownKeysAt(keyPath, schema));
  return near === undefined ? '' : `, did you mean "${near}"?`;
}

/** How other tools say that one comes after another. */
const WORDS_FOR_ORDER: ReadonlySet<string> = new Set([
  'after',
  'needs',
  'requires',
  'dependson',
  'dependencies',
]);
/** What zod says by itself about a value of another type; of ours it says nothing new. */
const ZOD_TYPE = /^Invalid input: expected (\w+), received .*$/;

function wantedType(_said: string, type: string): string {
  return `expected ${FILE_TYPES[type] ?? `a ${type}`}`;
}

/** Types as people who write YAML call them. */
const FILE_TYPES: Readonly<Record<string, string>> = {
  object: 'keys and their values',
  record: 'keys and their values',
  array: 'a list',
  string: 'text',
  int: 'a whole number',
  boolean: 'true or false',
};

/** Addresses may carry a key: of them a message shows the server. */
export function showServerOnly(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !URL.canParse(value)) return value;
  const { protocol, host } = new URL(value);
  return host === '' ? value : `${protocol}//${host}/…`;
}

/** The keys the schema knows at a path; a record's own keys (job names) match any name. */
function knownKeysAt(keyPath: readonly PropertyKey[], schema: unknown): string[] {
  let node = schema;
  for (const key of keyPath) {
    if (!isRecord(node)) return [];
    const properties = node['properties'];
    const next = isRecord(properties) ? properties[String(key)] : undefined;
    node = next ?? node['additionalProperties'] ?? node['items'];
  }
  const properties = isRecord(node) ? node['properties'] : undefined;
  return isRecord(properties) ? Object.keys(properties) : [];
}

function isSecret(key: string): boolean {
  return settingKeys().some((each) => each === key && SETTINGS[each].isSecret === true);
}

/** Whether a value has keys. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Stands for a secret in everything that is printed. */
export const HIDDEN = '[hidden]';
