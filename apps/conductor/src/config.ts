/**
 * Makes the config of what `conductor.yaml` says and resolves every setting: flag > environment > file > default.
 * Invariant: nothing outside this file reads `CONDUCTOR_*` variables, or what the file says.
 */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';

import { z } from 'zod';

import { type ArcpConfig, arcpSchema } from './arcp-config.ts';
import { EMPTY_DIGEST, findConfigFile, readConfigFile } from './config-file.ts';
import { describeIssue, HIDDEN, isRecord, showServerOnly } from './config-issues.ts';
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
  /**
   * Where jobs run and relative paths start: the folder the config lies in; without one the top of the git work tree
   * around the working directory, so that each folder of a project finds the same record; else the working directory.
   */
  readonly rootDir: string;
}

/** What of a config can be used by who only reads the record. */
export interface ReadingConfig {
  readonly config: Config;
  /** What is wrong with the file; its jobs that are not understood are left out. */
  readonly problem: ConductorError | undefined;
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
  const { content, digest } =
    configPath === undefined || input.isFileIgnored === true ? NO_FILE : readConfigFile(configPath);
  const file = validate(content, configPath ?? '');
  requireUsedKeys(file.jobs, file.concurrencyKeys, configPath ?? '');
  const config = resolveConfig(input, configPath, file, digest);
  requireLeaseRatios(config.settings);
  requireTokenBeyondLoopback(config.settings, config.sources);
  return config;
}

/**
 * Reads as much of the config as it takes to find the record, so that a slip in a job does not lock anybody out of it.
 *
 * @param input - where to look
 * @throws ConductorError as `loadConfig` does when the slip leaves open where the record is
 */
export function loadConfigToRead(input: ConfigInput): ReadingConfig {
  try {
    return { config: loadConfig(input), problem: undefined };
  } catch (error) {
    if (!(error instanceof ConductorError) || error.code !== 'config-invalid') throw error;
    const configPath = findConfigFile(input.cwd, input.configPath);
    const isPlaceGiven = RECORD_KEYS.every((key) =>
      givenOutside(key, input).some(([value]) => isGiven(value)),
    );
    const file = configPath === undefined ? {} : readLeniently(configPath);
    if (!isPlaceGiven && !(isRecord(file) && isPlaceCertain(file))) throw error;
    return { config: resolveConfig(input, configPath, understood(file), EMPTY_DIGEST), problem: error };
  }
}

function readLeniently(configPath: string): unknown {
  try {
    return readConfigFile(configPath).content;
  } catch (error) {
    if (error instanceof ConductorError) return undefined;
    throw error;
  }
}

/** Whether nothing in the file could have been meant to say where the record is and was not understood. */
function isPlaceCertain(file: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(file).every(([key, value]) => {
    const setting = settingKeys().find((each) => each === key);
    if (setting === undefined) {
      const near = suggest(key, settingKeys());
      return !PLACE_KEYS.some((place) => place === near);
    }
    return !PLACE_KEYS.includes(setting) || SETTINGS[setting].schema.safeParse(value).success;
  });
}

/** What of a file is understood, key by key and job by job. */
function understood(file: unknown): FileContent {
  const content = isRecord(file) ? file : {};
  const settings = settingKeys().flatMap((key) => {
    const parsed = SETTINGS[key].schema.safeParse(content[key]);
    return parsed.success ? [[key, parsed.data] as const] : [];
  });
  const jobs = Object.entries(isRecord(content['jobs']) ? content['jobs'] : {}).flatMap(([name, job]) => {
    const parsed = jobsSchema.safeParse({ [name]: job });
    return parsed.success ? [...parsed.data] : [];
  });
  const { arcp, concurrencyKeys } = fileSchema.parse({});
  return { ...Object.fromEntries(settings), arcp, concurrencyKeys, jobs: new Map(jobs) };
}

function resolveConfig(
  input: ConfigInput,
  configPath: string | undefined,
  { jobs, arcp, concurrencyKeys, ...fileSettings }: FileContent,
  digest: string,
): Config {
  const rootDir = configPath === undefined ? findProject(input.cwd) : path.dirname(configPath);
  const values: Record<string, string | number> = {};
  const sources: Record<string, SettingSource> = {};
  for (const key of settingKeys()) {
    const [value, source] = resolveSetting(key, input, fileSettings);
    values[key] = value;
    sources[key] = source;
  }
  return {
    settings: toSettings(values, sources, rootDir, input.cwd),
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

type FileContent = z.output<typeof fileSchema>;

/** The top of the git work tree around a folder, else the folder itself. */
function findProject(cwd: string): string {
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, '.git'))) return folder;
    if (folder === path.dirname(folder)) return cwd;
  }
}

function validate(file: unknown, configPath: string): FileContent {
  const result = fileSchema.safeParse(file);
  if (result.success) return result.data;
  const lines = result.error.issues.flatMap((issue) => describeIssue(issue, file, configJsonSchema()));
  throw new ConductorError('config-invalid', `Cannot use config "${configPath}": ${lines.join('; ')}`, {
    cause: result.error,
    hint: '`conductor config schema` prints what the file may hold.',
  });
}

function resolveSetting(
  key: keyof Settings,
  input: ConfigInput,
  fileSettings: Readonly<Record<string, unknown>>,
): [string | number, SettingSource] {
  const spec = SETTINGS[key];
  const given: readonly Given[] = [...givenOutside(key, input), [fileSettings[key], 'file', key]];
  for (const [value, source, shownAs] of given) {
    if (!isGiven(value)) continue;
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

/** A value, where it came from, and what it is called there. */
type Given = readonly [unknown, SettingSource, string];

/** What flags and the environment say, in the order of their rank. */
function givenOutside(key: keyof Settings, { flags, env }: ConfigInput): readonly Given[] {
  return [
    [flags[key], 'flag', `--${kebabCase(key)}`],
    [env[environmentName(key)], 'environment', environmentName(key)],
  ];
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== '';
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

/** The settings that say where jobs and runs are. */
const RECORD_KEYS: readonly (keyof Settings)[] = ['store', 'stateDir', 'runsDir'];
const PLACE_KEYS: readonly (keyof Settings)[] = [...RECORD_KEYS, 'logsDir', 'worktreesDir'];
const NO_FILE = { content: {}, digest: EMPTY_DIGEST };
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
