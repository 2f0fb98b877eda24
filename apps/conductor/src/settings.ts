/**
 * The settings of a node, as data: flag, environment variable, file key, default and range of each.
 * Invariant: a setting exists in this table or nowhere; the CLI, the file schema and the reference page are made from it.
 */
import { z } from 'zod';

/** The values every command works with. Paths are absolute. */
export interface Settings {
  readonly nodeId: string;
  readonly host: string;
  readonly role: 'primary' | 'standby';
  readonly priority: number;
  readonly store: string;
  readonly durability: 'process' | 'power';
  readonly stateDir: string;
  readonly runsDir: string;
  readonly logsDir: string;
  readonly worktreesDir: string;
  /** Empty: that of the environment. */
  readonly tmpDir: string;
  readonly localApiHost: string;
  readonly localApiPort: number;
  /** Empty when the token is kept in `sharedTokenFile`. */
  readonly sharedToken: string;
  readonly sharedTokenFile: string;
  readonly heartbeatIntervalMs: number;
  readonly leaseTtlMs: number;
  readonly leaseRenewDeadlineMs: number;
  readonly leaseRetryMs: number;
  readonly renewFailureThreshold: number;
  readonly jobLeaseMs: number;
  readonly timedJobsIntervalMs: number;
  readonly timedJobsMaxMessagesPerTick: number;
  readonly timedJobsMaxTasksPerTick: number;
  readonly timedJobsSettleDelayMs: number;
  readonly retentionEveryTicks: number;
  readonly retainRunsDays: number;
  readonly retainRuns: number;
  readonly retainBytes: number;
  readonly retainWorktreesDays: number;
  readonly retainHistoryDays: number;
  readonly maxParallel: number;
  readonly logLevel: LogLevel;
}

/** From most to least talkative. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Where a value came from; the first that has one wins. */
export type SettingSource = 'flag' | 'environment' | 'file' | 'default';

/** One row of the table. */
export interface SettingSpec {
  /** What it does, one sentence, unit included. */
  readonly description: string;
  /** Reads the value of a flag, a variable or the file. */
  readonly schema: z.ZodType<string | number>;
  /** What it is when nobody says; a path is relative to `stateDir`, `stateDir` itself to the config's folder; `hostname` stands for the machine's name. */
  readonly defaultValue: string | number;
  /** `path` values are resolved to absolute ones. */
  readonly isPath?: boolean;
  /** Never printed, whatever is wrong with it. */
  readonly isSecret?: boolean;
}

/**
 * The last door: every value, typed.
 *
 * @param values - resolved values by key
 * @throws ZodError when one is missing or out of range, which `resolve` has reported before
 */
export function parseSettings(values: Readonly<Record<string, unknown>>): Settings {
  return z.object(shape).parse(values);
}

/** The kebab-case name of a setting: `leaseTtlMs` is `lease-ttl-ms`. */
export function kebabCase(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The environment variable of a setting: `leaseTtlMs` is `CONDUCTOR_LEASE_TTL_MS`. */
export function environmentName(key: string): string {
  return `CONDUCTOR_${kebabCase(key).replaceAll('-', '_').toUpperCase()}`;
}

/** The keys of `Settings`, in the order of the reference page. */
export function settingKeys(): readonly (keyof Settings)[] {
  return Object.keys(SETTINGS).filter((key): key is keyof Settings => key in SETTINGS);
}

/** A whole number; flags and variables carry it as digits. */
function integer(min: number, max: number): z.ZodType<number> {
  const error = `expected a whole number from ${min} to ${max}`;
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.int({ error }).min(min, { error }).max(max, { error }),
  );
}

function oneOf<const Value extends string>(...values: readonly Value[]): z.ZodType<Value> {
  return z.enum(values, { error: `expected one of ${values.join(', ')}` });
}

/** What a token must be; short ones can be guessed. */
export const tokenSchema: z.ZodType<string> = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]{32,}$/, { error: 'expected at least 32 printable characters without spaces' });

const text = z.string().trim().min(1, { error: 'expected a non-empty text' });
const DAY_MS = 86_400_000;

/** What each setting must be; the door every value passes, wherever it came from. */
const shape = {
  nodeId: text,
  host: text,
  role: oneOf('primary', 'standby'),
  priority: integer(0, 1_000),
  store: z.string().regex(/^sqlite:.+/, { error: 'expected sqlite:PATH' }),
  durability: oneOf('process', 'power'),
  stateDir: text,
  runsDir: text,
  logsDir: text,
  worktreesDir: text,
  tmpDir: z.string().trim(),
  localApiHost: text,
  localApiPort: integer(0, 65_535),
  sharedToken: z.union([z.literal(''), tokenSchema], {
    error: 'expected at least 32 printable characters without spaces',
  }),
  sharedTokenFile: text,
  heartbeatIntervalMs: integer(100, DAY_MS),
  leaseTtlMs: integer(100, DAY_MS),
  leaseRenewDeadlineMs: integer(50, DAY_MS),
  leaseRetryMs: integer(10, DAY_MS),
  renewFailureThreshold: integer(1, 100),
  jobLeaseMs: integer(1_000, DAY_MS),
  timedJobsIntervalMs: integer(10, DAY_MS),
  timedJobsMaxMessagesPerTick: integer(1, 1_000_000),
  timedJobsMaxTasksPerTick: integer(1, 1_000_000),
  timedJobsSettleDelayMs: integer(0, DAY_MS),
  retentionEveryTicks: integer(1, 1_000_000),
  retainRunsDays: integer(0, 36_500),
  retainRuns: integer(0, 100_000_000),
  retainBytes: integer(0, Number.MAX_SAFE_INTEGER),
  retainWorktreesDays: integer(0, 36_500),
  retainHistoryDays: integer(0, 36_500),
  maxParallel: integer(1, 1_000),
  logLevel: oneOf('debug', 'info', 'warn', 'error', 'silent'),
};

/** Every node setting. */
export const SETTINGS: Readonly<Record<keyof Settings, SettingSpec>> = {
  nodeId: {
    description: 'Name of this node; unique per machine and daemon',
    schema: shape.nodeId,
    defaultValue: 'hostname',
  },
  host: { description: 'Name of this machine in records', schema: shape.host, defaultValue: 'hostname' },
  role: {
    description: '`standby` leads only when no primary takes over within another `lease-ttl-ms`',
    schema: shape.role,
    defaultValue: 'primary',
  },
  priority: {
    description:
      'Rank for leadership, 0 to 1000: a node takes over from a dead leader one `lease-ttl-ms` later while a live one has a higher rank; 50 for a standby unless you say otherwise',
    schema: shape.priority,
    defaultValue: 100,
  },
  store: {
    description: 'Job store: `sqlite:PATH`, relative to the config file',
    schema: shape.store,
    defaultValue: 'sqlite:.conductor/conductor.db',
  },
  durability: {
    description: '`process`: committed work survives the death of any process; `power`: also a loss of power',
    schema: shape.durability,
    defaultValue: 'process',
  },
  stateDir: {
    description: 'Everything conductor writes; keeps itself out of version control',
    schema: shape.stateDir,
    defaultValue: '.conductor',
    isPath: true,
  },
  runsDir: { description: 'Run directories', schema: shape.runsDir, defaultValue: 'runs', isPath: true },
  logsDir: {
    description: "The daemon's own logs and tick logs",
    schema: shape.logsDir,
    defaultValue: 'logs',
    isPath: true,
  },
  worktreesDir: {
    description: 'Git work trees made for jobs with `worktree`',
    schema: shape.worktreesDir,
    defaultValue: 'worktrees',
    isPath: true,
  },
  tmpDir: {
    description: 'TMPDIR of steps, made when it is not there; empty: that of the environment',
    schema: shape.tmpDir,
    defaultValue: '',
    isPath: true,
  },
  localApiHost: {
    description:
      'Address the HTTP API listens on; one that other machines can reach needs `shared-token` or `shared-token-file`',
    schema: shape.localApiHost,
    defaultValue: '127.0.0.1',
  },
  localApiPort: {
    description:
      'Port of the HTTP API; one you name must be free, in place of the default one a free port is taken when it is not; 0 takes any',
    schema: shape.localApiPort,
    defaultValue: 7_420,
  },
  sharedToken: {
    description:
      'Token of the HTTP API; rather set the variable than the flag, which others on the machine can read; empty: see `shared-token-file`',
    schema: shape.sharedToken,
    defaultValue: '',
    isSecret: true,
  },
  sharedTokenFile: {
    description:
      'File that holds the token of the HTTP API; the default one is made at first start, one you name must exist',
    schema: shape.sharedTokenFile,
    defaultValue: 'token',
    isPath: true,
  },
  heartbeatIntervalMs: {
    description: "Milliseconds between two heartbeats of a node's record",
    schema: shape.heartbeatIntervalMs,
    defaultValue: 5_000,
  },
  leaseTtlMs: {
    description: 'Milliseconds a leader lease lasts without renewal',
    schema: shape.leaseTtlMs,
    defaultValue: 10_000,
  },
  leaseRenewDeadlineMs: {
    description: 'Milliseconds after its last renewal at which a leader stops itself',
    schema: shape.leaseRenewDeadlineMs,
    defaultValue: 6_000,
  },
  leaseRetryMs: {
    description: 'Milliseconds between two tries to acquire or renew leadership',
    schema: shape.leaseRetryMs,
    defaultValue: 2_000,
  },
  renewFailureThreshold: {
    description: 'Failed renewals in a row after which a leader reports itself degraded',
    schema: shape.renewFailureThreshold,
    defaultValue: 2,
  },
  jobLeaseMs: {
    description: 'Milliseconds a claimed job is held without renewal; renewed at a third of it',
    schema: shape.jobLeaseMs,
    defaultValue: 30_000,
  },
  timedJobsIntervalMs: {
    description: 'Milliseconds between two ticks',
    schema: shape.timedJobsIntervalMs,
    defaultValue: 10_000,
  },
  timedJobsMaxMessagesPerTick: {
    description: 'Messages a runner may handle in a tick',
    schema: shape.timedJobsMaxMessagesPerTick,
    defaultValue: 10,
  },
  timedJobsMaxTasksPerTick: {
    description: 'Tasks a runner may start in a tick',
    schema: shape.timedJobsMaxTasksPerTick,
    defaultValue: 10,
  },
  timedJobsSettleDelayMs: {
    description: 'Milliseconds a change must be quiet before it counts',
    schema: shape.timedJobsSettleDelayMs,
    defaultValue: 10_000,
  },
  retentionEveryTicks: {
    description: 'Ticks between two clean-ups by the leader',
    schema: shape.retentionEveryTicks,
    defaultValue: 360,
  },
  retainRunsDays: {
    description: 'Days after which ended runs are removed; 0 keeps them',
    schema: shape.retainRunsDays,
    defaultValue: 30,
  },
  retainRuns: {
    description: 'Ended runs that are kept, the newest; 0 keeps all',
    schema: shape.retainRuns,
    defaultValue: 10_000,
  },
  retainBytes: {
    description: 'Bytes ended runs may take together, the oldest go first; 0 sets no limit',
    schema: shape.retainBytes,
    defaultValue: 0,
  },
  retainWorktreesDays: {
    description: 'Days after which work trees of ended tasks that hold nothing are removed; 0 keeps them',
    schema: shape.retainWorktreesDays,
    defaultValue: 7,
  },
  retainHistoryDays: {
    description: 'Days after which ended attempts and decided slots are forgotten; 0 keeps them',
    schema: shape.retainHistoryDays,
    defaultValue: 90,
  },
  maxParallel: {
    description: 'Steps this node runs at once',
    schema: shape.maxParallel,
    defaultValue: 4,
  },
  logLevel: {
    description: "Least level of the daemon's log",
    schema: shape.logLevel,
    defaultValue: 'info',
  },
};
