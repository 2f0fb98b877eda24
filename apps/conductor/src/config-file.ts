/**
 * The config file as it lies there: found, read once, and told apart from another by its digest.
 * Invariant: the digest is of what the file says, not of how it is laid out, nor of the version of conductor that reads it.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { parse as parseYaml } from 'yaml';

import { ConductorError } from './errors.ts';

/** A file that was read. */
export interface ConfigFile {
  /** What it says, not validated. */
  readonly content: unknown;
  /** The same for files that say the same. */
  readonly digest: string;
}

/**
 * Finds the nearest config file at or above `cwd`, or the one that was named.
 *
 * @param cwd - absolute
 * @param named - value of `--config`
 * @throws ConductorError with code `config-not-found` when a named file is not there
 */
export function findConfigFile(cwd: string, named: string | undefined): string | undefined {
  if (named !== undefined) {
    const file = path.resolve(cwd, named);
    if (existsSync(file)) return file;
    throw new ConductorError('config-not-found', `Cannot read config "${file}": no such file`, {
      hint: 'Name an existing file with --config, or leave the option away.',
    });
  }
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    const found = CONFIG_NAMES.map((name) => path.join(folder, name)).find((file) => existsSync(file));
    if (found !== undefined) return found;
    if (folder === path.dirname(folder)) return undefined;
  }
}

/**
 * Reads and parses a file.
 *
 * @param file - absolute path
 * @throws ConductorError with code `config-invalid` when it cannot be read or is not YAML
 */
export function readConfigFile(file: string): ConfigFile {
  try {
    // JSON is YAML: one parser reads both, and its errors carry line and column.
    const content: unknown = parseYaml(readFileSync(file, 'utf8')) ?? {};
    return { content, digest: digestOf(content) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConductorError('config-invalid', `Cannot read config "${file}": ${reason}`, { cause: error });
  }
}

/**
 * The digest of a file as it is now.
 *
 * @param file - absolute path
 * @returns `undefined` when it cannot be read
 */
export function readConfigDigest(file: string): string | undefined {
  try {
    return readConfigFile(file).digest;
  } catch (error) {
    if (error instanceof ConductorError) return undefined;
    throw error;
  }
}

/** Of the content with its keys in order: a job that moved within the file is the same job. */
function digestOf(content: unknown): string {
  const sorted = JSON.stringify(content, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(sorted).digest('hex').slice(0, DIGEST_LENGTH);
}

const CONFIG_NAMES = ['conductor.yaml', 'conductor.yml', 'conductor.json'];
const DIGEST_LENGTH = 12;

/** What a file says that says nothing. */
export const EMPTY_DIGEST: string = digestOf({});
