/** What a runtime can be told, with its defaults. Invariant: nothing is started before every option has been checked. */
import { createRealClock, type Clock } from '@conductor-run/clock';
import { silentLogger, type Logger } from '../logger.ts';
import { FEATURES, type Feature } from '../wire.ts';
import type { AgentHost } from './agent-host.ts';
import type { EventStore } from './event-store.ts';
import { createMemoryEventStore } from './memory-event-store.ts';
import type { Authenticator, CredentialProvider, ObservePolicy, Tracer } from './ports.ts';

/** Bounds of what peers can make a runtime hold. Every one is a positive number. */
export interface RuntimeLimits {
  /** Characters in a message. @defaultValue 4,194,304 */
  readonly maxMessageLength: number;
  /** Nested objects and arrays in a message. @defaultValue 64 */
  readonly maxMessageDepth: number;
  /** Connections that have not said hello. @defaultValue 1,024 */
  readonly maxUnauthenticated: number;
  /** Sessions of a principal, lost ones included. @defaultValue 256 */
  readonly maxSessionsPerPrincipal: number;
  /** Unfinished jobs of a principal. @defaultValue 1,024 */
  readonly maxJobsPerPrincipal: number;
  /** Jobs one session observes. @defaultValue 256 */
  readonly maxSubscriptionsPerSession: number;
  /** Depth of delegation. @defaultValue 8 */
  readonly maxDelegationDepth: number;
  /** Events kept for a session. @defaultValue 250,000 */
  readonly maxBufferedEvents: number;
  /** Payload characters of the events kept for a session. @defaultValue 134,217,728 */
  readonly maxBufferedBytes: number;
  /** Payload characters of the events kept for a principal. @defaultValue 536,870,912 */
  readonly maxBufferedBytesPerPrincipal: number;
  /** Bytes handed to a connection and not taken by it; beyond, it is not given more and not read from. @defaultValue 1,048,576 */
  readonly maxUnsentBytes: number;
  /** Decoded bytes in a result chunk. @defaultValue 1,048,576 */
  readonly maxChunkBytes: number;
  /** Decoded bytes of a streamed result. @defaultValue 67,108,864 */
  readonly maxResultBytes: number;
  /** Bytes of a result that is joined for a client without result_chunk. @defaultValue 1,048,576 */
  readonly maxJoinedResultBytes: number;
}

/** How long an agent may be silent. */
export interface Watchdog {
  /** Milliseconds between looks. */
  readonly intervalMs: number;
  /** Looks in a row without a sign of life that are let pass. */
  readonly allowedMisses: number;
}

/** What a runtime can be told. */
export interface RuntimeOptions {
  /** What runs the jobs. */
  readonly host: AgentHost;
  /** Who may call. */
  readonly authenticator: Authenticator;
  /** Shown in the welcome. @defaultValue conductor-arcp */
  readonly name?: string;
  /** Shown in the welcome. @defaultValue 1.1.0 */
  readonly version?: string;
  /** What must survive. Closed by whoever opened it, after `stop`. @defaultValue a store in memory */
  readonly store?: EventStore;
  /** Features on offer; `provisioned_credentials` only ever with a provider. @defaultValue all of the draft */
  readonly features?: readonly Feature[];
  /** Bounds; those left out keep their default. */
  readonly limits?: Partial<RuntimeLimits>;
  /** Seconds between signs of life. @defaultValue 30 */
  readonly heartbeatIntervalSec?: number;
  /** Seconds a lost session can be taken up again. @defaultValue 600 */
  readonly resumeWindowSec?: number;
  /** Milliseconds until a hello must have come. @defaultValue 10,000 */
  readonly helloTimeoutMs?: number;
  /** Milliseconds a connection may take nothing while something waits for it. @defaultValue 30,000 */
  readonly slowConsumerMs?: number;
  /** Events a client may be behind before it is told with a `back_pressure` status. @defaultValue 5,000 */
  readonly backPressureEvents?: number;
  /** Milliseconds without anything but heartbeats until a session without jobs is disconnected. @defaultValue 3,600,000 */
  readonly idleDisconnectMs?: number;
  /** Milliseconds a lease is honoured beyond its end, for clocks that disagree; 0 to 1,000. @defaultValue 0 */
  readonly leaseGraceMs?: number;
  /** Milliseconds a finished job without a key can be listed; at least the resume window. @defaultValue 3,600,000 */
  readonly jobRetentionMs?: number;
  /** Milliseconds an idempotency key is remembered after its job ended. @defaultValue Infinity, as the draft wants it */
  readonly keyRetentionMs?: number;
  /** Ends jobs whose agent went silent. @defaultValue none */
  readonly watchdog?: Watchdog;
  /** Whether a lease without `model.use` forbids every model. @defaultValue true */
  readonly isModelLeaseRequired?: boolean;
  /** Who sees other principals' jobs. @defaultValue nobody */
  readonly observePolicy?: ObservePolicy;
  /** Issues keys. @defaultValue none */
  readonly credentialProvider?: CredentialProvider;
  /** Makes a span per job; `trace.getTracer('arcp')` of OpenTelemetry fits. @defaultValue none */
  readonly tracer?: Tracer;
  /** Where it writes. @defaultValue silence */
  readonly logger?: Logger;
  /** Where time and timers come from. @defaultValue the real clock */
  readonly clock?: Clock;
  /** Called once when the store refuses to keep something: the runtime has cut every connection and can only be stopped. */
  readonly onFailure?: (error: unknown) => void;
}

/** @internal The options with every default filled in. */
export interface Settings {
  readonly host: AgentHost;
  readonly authenticator: Authenticator;
  readonly name: string;
  readonly version: string;
  readonly store: EventStore;
  readonly features: ReadonlySet<string>;
  readonly limits: RuntimeLimits;
  readonly heartbeatIntervalSec: number;
  readonly resumeWindowSec: number;
  readonly helloTimeoutMs: number;
  readonly slowConsumerMs: number;
  readonly backPressureEvents: number;
  readonly idleDisconnectMs: number;
  readonly leaseGraceMs: number;
  readonly jobRetentionMs: number;
  readonly keyRetentionMs: number;
  readonly watchdog: Watchdog | undefined;
  readonly isModelLeaseRequired: boolean;
  readonly observePolicy: ObservePolicy | undefined;
  readonly credentialProvider: CredentialProvider | undefined;
  readonly tracer: Tracer | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onFailure: (error: unknown) => void;
}

/** @internal Checks the options. @throws RangeError naming the first that is out of range */
export function resolveOptions(options: RuntimeOptions): Settings {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const [name, value] of Object.entries(limits)) requirePositive(`limits.${name}`, value);
  const features = new Set<string>(options.features ?? FEATURES);
  if (options.credentialProvider === undefined) features.delete('provisioned_credentials');
  const resumeWindowSec = requirePositive('resumeWindowSec', options.resumeWindowSec ?? 600);
  const jobRetentionMs = options.jobRetentionMs ?? Math.max(3_600_000, resumeWindowSec * 1_000);
  if (!(jobRetentionMs >= resumeWindowSec * 1_000)) {
    throw outOfRange('jobRetentionMs', jobRetentionMs, 'at least the resume window');
  }
  const keyRetentionMs = options.keyRetentionMs ?? Number.POSITIVE_INFINITY;
  if (!(keyRetentionMs >= 0)) throw outOfRange('keyRetentionMs', keyRetentionMs, 'at least 0 ms');
  const leaseGraceMs = options.leaseGraceMs ?? 0;
  if (!(leaseGraceMs >= 0 && leaseGraceMs <= 1_000)) {
    throw outOfRange('leaseGraceMs', leaseGraceMs, '0 to 1,000 ms');
  }
  if (options.watchdog !== undefined) {
    requirePositive('watchdog.intervalMs', options.watchdog.intervalMs);
    if (!(options.watchdog.allowedMisses >= 0)) {
      throw outOfRange('watchdog.allowedMisses', options.watchdog.allowedMisses, 'at least 0');
    }
  }
  return {
    host: options.host,
    authenticator: options.authenticator,
    name: options.name ?? 'conductor-arcp',
    version: options.version ?? '1.1.0',
    store: options.store ?? createMemoryEventStore(),
    features,
    limits,
    heartbeatIntervalSec: requirePositive('heartbeatIntervalSec', options.heartbeatIntervalSec ?? 30),
    resumeWindowSec,
    helloTimeoutMs: requirePositive('helloTimeoutMs', options.helloTimeoutMs ?? 10_000),
    slowConsumerMs: requirePositive('slowConsumerMs', options.slowConsumerMs ?? 30_000),
    backPressureEvents: requirePositive('backPressureEvents', options.backPressureEvents ?? 5_000),
    idleDisconnectMs: requirePositive('idleDisconnectMs', options.idleDisconnectMs ?? 3_600_000),
    leaseGraceMs,
    jobRetentionMs,
    keyRetentionMs,
    watchdog: options.watchdog,
    isModelLeaseRequired: options.isModelLeaseRequired ?? true,
    observePolicy: options.observePolicy,
    credentialProvider: options.credentialProvider,
    tracer: options.tracer,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? createRealClock(),
    onFailure: options.onFailure ?? (() => undefined),
  };
}

function requirePositive(name: string, value: number): number {
  if (value > 0) return value;
  throw outOfRange(name, value, 'a number above 0');
}

function outOfRange(name: string, value: number, wanted: string): RangeError {
  return new RangeError(`Cannot create runtime with ${name} "${value}": expected ${wanted}`);
}

const DEFAULT_LIMITS: RuntimeLimits = {
  maxMessageLength: 4 * 1_024 * 1_024,
  maxMessageDepth: 64,
  maxUnauthenticated: 1_024,
  maxSessionsPerPrincipal: 256,
  maxJobsPerPrincipal: 1_024,
  maxSubscriptionsPerSession: 256,
  maxDelegationDepth: 8,
  maxBufferedEvents: 250_000,
  maxBufferedBytes: 128 * 1_024 * 1_024,
  maxBufferedBytesPerPrincipal: 512 * 1_024 * 1_024,
  maxUnsentBytes: 1_024 * 1_024,
  maxChunkBytes: 1_024 * 1_024,
  maxResultBytes: 64 * 1_024 * 1_024,
  maxJoinedResultBytes: 1_024 * 1_024,
};
