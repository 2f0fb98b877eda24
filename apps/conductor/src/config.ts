/**
 * Makes the config of what `conductor.yaml` says and resolves every setting: flag > environment > file > default.
 * Invariant: nothing outside this file reads `CONDUCTOR_*` variables, or what the file says.
 */
import { hostname } from 'node:os';
import path from 'node:path';

import { z } from 'zod';

import { type ArcpConfig, arcpSchema } from './arcp-config.ts';
import { EMPTY_DIGEST, findConfigFile, readConfigFile } from './config-file.ts';
import { ConductorError } from './errors.ts';
import { isLoopback } from './http/guard.ts';
import { type JobDefinition, jobsSchema, limitConcurrencyKeys } from './job-config.ts';
import { name } from './job-parts.ts';
import {
  environmentName,
  kebabCase,
  parseSettings,
  type SettingSource,
  type Settings,
  SETTINGS,
  settingKeys,
} from './settings.ts';
import { suggest } from './suggest.ts';

/** What a command works with. */
export interface Config {
  readonly settings: Settings;
  /** Where each setting came from. */
  readonly sources: Readonly<Record<keyof Settings, SettingSource>>;
  readonly jobs: ReadonlyMap<string, JobDefinition>;
  readonly arcp: ArcpConfig;
  /** The same for files that say the same. */
  readonly digest: string;
  /** The file that was read, `undefined` when there is none. */
  readonly configPath: string | undefined;
  /** Folder the config lies in, else the working directory: where jobs run and relative paths start. */
  readonly rootDir: string;
}

/** What config is read from. */
export interface ConfigInput {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Values of `--flags` by camel-case key; absent or `undefined` when not given. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  /** Value of `--config`. */
  readonly configPath?: string | undefined;
  /** Whether to go without what the file says, because it cannot be understood: the place is the same. Default false. */
  readonly isFileIgnored?: boolean;
}

/**
 * Reads the config.
 *
 * @param input - where to look
 * @throws ConductorError with code `config-not-found` when `--config` names no file, and `config-invalid` for anything in it that is not understood
 */
export function loadConfig(input: ConfigInput): Config {
  const configPath = findConfigFile(input.cwd, input.configPath);
  const rootDir = configPath === undefined ? input.cwd : path.dirname(configPath);
  const { content, digest } =
    configPath === undefined || input.isFileIgnored === true
      ? { content: {}, digest: EMPTY_DIGEST }
      : readConfigFile(configPath);
  const { jobs, arcp, concurrencyKeys, ...fileSettings } = validate(content, configPath ?? '');
  requireUsedKeys(jobs, concurrencyKeys, configPath ?? '');

  const values: Record<string, string | number> = {};
  const sources: Record<string, SettingSource> = {};
  for (const key of settingKeys()) {
    const [value, source] = resolveSetting(key, input, fileSettings);
    values[key] = value;
    sources[key] = source;
  }
  const settings = toSettings(values, sources, rootDir, input.cwd);
  requireLeaseRatios(settings);
  requireTokenBeyondLoopback(settings, sources);
  return {
    settings,
    sources: sources as Record<keyof Settings, SettingSource>,
    jobs: limitConcurrencyKeys(jobs, concurrencyKeys),
    arcp,
    digest,
    configPath,
    rootDir,
  };
}

/** The JSON Schema of the config file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' });
}

function validate(file: unknown, configPath: string): z.output<typeof fileSchema> {
  const result = fileSchema.safeParse(file);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => describeIssue(issue, file));
  throw new ConductorError('config-invalid', `Cannot use config "${configPath}": ${lines.join('; ')}`, {
    cause: result.error,
    hint: '`conductor config schema` prints what the file may hold.',
  });
}

function describeIssue(issue: z.core.$ZodIssue, file: unknown): string[] {
  const where = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const full = where === '' ? key : `${where}.${key}`;
      return `"${full}" is not a known key${hintAtKey(key, issue.path)}`;
    });
  }
  const value: unknown = issue.path.reduce<unknown>(
    (at, key) => (isRecord(at) ? at[String(key)] : undefined),
    file,
  );
  const shown =
    value === undefined ? 'missing' : isSecret(where) ? HIDDEN : JSON.stringify(value, showServerOnly);
  return [`"${where === '' ? 'the file' : where}" is ${shown}, ${issue.message}`];
}

/** What is meant by a key that is none: the nearest one, or what we have in its place. */
function hintAtKey(key: string, keyPath: readonly PropertyKey[]): string {
  const isOfJob = keyPath.length === 2 && keyPath[0] === 'jobs';
  if (isOfJob && WORDS_FOR_ORDER.has(key.toLowerCase().replaceAll(/[-_]/g, ''))) {
    return ': `watch: { job: NAME }` runs a job after each success of another one, `steps` run in order within a job';
  }
  const near = suggest(key, knownKeysAt(keyPath));
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

/** Addresses may carry a key: of them a message shows the server. */
function showServerOnly(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !URL.canParse(value)) return value;
  const { protocol, host } = new URL(value);
  return host === '' ? value : `${protocol}//${host}/…`;
}

/** The keys the schema knows at a path; a record's own keys (job names) match any name. */
function knownKeysAt(keyPath: readonly PropertyKey[]): string[] {
  let node: unknown = configJsonSchema();
  for (const key of keyPath) {
    if (!isRecord(node)) return [];
    const properties = node['properties'];
    const next = isRecord(properties) ? properties[String(key)] : undefined;
    node = next ?? node['additionalProperties'] ?? node['items'];
  }
  const properties = isRecord(node) ? node['properties'] : undefined;
  return isRecord(properties) ? Object.keys(properties) : [];
}

function resolveSetting(
  key: keyof Settings,
  input: ConfigInput,
  fileSettings: Readonly<Record<string, unknown>>,
): [string | number, SettingSource] {
  const spec = SETTINGS[key];
  const given: readonly [unknown, SettingSource, string][] = [
    [input.flags[key], 'flag', `--${kebabCase(key)}`],
    [input.env[environmentName(key)], 'environment', environmentName(key)],
    [fileSettings[key], 'file', key],
  ];
  for (const [value, source, shownAs] of given) {
    if (value === undefined || value === '') continue;
    const parsed = spec.schema.safeParse(value);
    if (parsed.success) return [parsed.data, source];
    const shown =
      spec.isSecret === true
        ? HIDDEN
        : typeof value === 'string'
          ? value
          : JSON.stringify(value, showServerOnly);
    const why = parsed.error.issues[0]?.message ?? 'not understood';
    throw new ConductorError('config-invalid', `Cannot use setting ${shownAs} "${shown}": ${why}`);
  }
  return [spec.defaultValue === 'hostname' ? hostname() : spec.defaultValue, 'default'];
}

/** Makes paths absolute: those of the file and the defaults from where they belong, those of flags and environment from the cwd. */
function toSettings(
  values: Readonly<Record<string, string | number>>,
  sources: Readonly<Record<string, SettingSource>>,
  rootDir: string,
  cwd: string,
): Settings {
  const fromOf = (key: string): string =>
    sources[key] === 'flag' || sources[key] === 'environment' ? cwd : rootDir;
  const stateDir = path.resolve(fromOf('stateDir'), String(values['stateDir']));
  const absolute: Record<string, string> = { stateDir };
  for (const key of settingKeys()) {
    if (key === 'stateDir' || SETTINGS[key].isPath !== true || values[key] === '') continue;
    absolute[key] = path.resolve(sources[key] === 'default' ? stateDir : fromOf(key), String(values[key]));
  }
  const storePath =
    sources['store'] === 'default'
      ? path.join(stateDir, 'conductor.db')
      : path.resolve(fromOf('store'), String(values['store']).slice('sqlite:'.length));
  // A rank of its own comes with the role, unless somebody gave another one.
  const priority =
    sources['priority'] === 'default' && values['role'] === 'standby' ? STANDBY_PRIORITY : values['priority'];
  return parseSettings({ ...values, ...absolute, priority, store: `sqlite:${storePath}` });
}

function requireLeaseRatios(settings: Settings): void {
  const { leaseTtlMs, leaseRenewDeadlineMs, leaseRetryMs } = settings;
  if (leaseTtlMs > leaseRenewDeadlineMs && leaseRenewDeadlineMs > 1.2 * leaseRetryMs) return;
  throw new ConductorError(
    'config-invalid',
    `Cannot use lease-ttl-ms "${leaseTtlMs}", lease-renew-deadline-ms "${leaseRenewDeadlineMs}" and lease-retry-ms "${leaseRetryMs}" together: expected ttl > renew deadline > 1.2 × retry`,
    { hint: 'The defaults 10000, 6000 and 2000 fit.' },
  );
}

/** Whoever opens the API to other machines has chosen a token: one made by the way is known to nobody there. */
function requireTokenBeyondLoopback(
  settings: Settings,
  sources: Readonly<Record<string, SettingSource>>,
): void {
  if (isLoopback(settings.localApiHost)) return;
  if (settings.sharedToken !== '' || sources['sharedTokenFile'] !== 'default') return;
  throw new ConductorError(
    'config-invalid',
    `Cannot use local-api-host "${settings.localApiHost}": other machines could reach it and no token is configured, expected shared-token or shared-token-file beside it`,
    {
      hint: 'Make a token with `openssl rand -hex 32` and set CONDUCTOR_SHARED_TOKEN, or leave local-api-host at 127.0.0.1.',
    },
  );
}

/** A limit that nobody is under is a slip of the pen. */
function requireUsedKeys(
  jobs: Config['jobs'],
  limits: Readonly<Record<string, number>>,
  configPath: string,
): void {
  const used = [...jobs.values()].flatMap((job) => job.concurrencyKey?.name ?? []);
  const unused = Object.keys(limits).find((key) => !used.includes(key));
  if (unused === undefined) return;
  const near = suggest(unused, used);
  throw new ConductorError(
    'config-invalid',
    `Cannot use config "${configPath}": no job has the concurrencyKey of "concurrencyKeys.${unused}"${near === undefined ? '' : `, did you mean "${near}"?`}`,
  );
}

function isSecret(key: string): boolean {
  return settingKeys().some((each) => each === key && SETTINGS[each].isSecret === true);
}

/** Stands for a secret in everything that is printed. */
export const HIDDEN = '[hidden]';

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

const STANDBY_PRIORITY = 50;

const fileSchema = z.strictObject({
  jobs: jobsSchema,
  concurrencyKeys: z
    .record(name, z.int().min(1).max(1_000))
    .default({})
    .describe('Tasks at once of all jobs that share a concurrencyKey, over all nodes; 1 for a key not named'),
  arcp: arcpSchema,
  ...Object.fromEntries(settingKeys().map((key) => [key, SETTINGS[key].schema.optional()])),
});
