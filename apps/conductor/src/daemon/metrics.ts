/**
 * What a daemon counts, in the format of Prometheus. The names are documented in the README and do not change.
 * Invariant: labels are names of configured jobs and fixed words, so that the number of series is bounded.
 */
import type { JobStore, KindStats } from '@conductor-run/job-store';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { Settings } from '../settings.ts';
import { LEADERSHIP } from '../leadership.ts';
import type { Observer } from './observer.ts';
import type { DaemonParts } from './parts.ts';

/** What a scrape reads. */
export interface MetricsSources {
  readonly store: JobStore;
  readonly parts: DaemonParts;
  readonly settings: Pick<Settings, 'maxParallel'>;
  /** UTC ms. */
  readonly nowMs: () => number;
}

/** The metrics of one daemon. */
export interface NodeMetrics {
  readonly observer: Observer;
  /** Of the text `read` gives. */
  readonly contentType: string;
  /** Everything there is to tell, read now: costs one `stats()` of the store. */
  read(sources: MetricsSources): Promise<string>;
}

/** Makes the metrics of this process, with those of Node itself. */
export function createNodeMetrics(): NodeMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    observer: createObserver(registry),
    contentType: registry.contentType,
    read: createRead(registry),
  };
}

function createObserver(registry: Registry): Observer {
  const registers = [registry];
  const ticks = new Counter({
    name: 'conductor_ticks_total',
    help: 'Ticks by what they came to',
    labelNames: ['decision'],
    registers,
  });
  const tickSeconds = new Histogram({
    name: 'conductor_tick_seconds',
    help: 'How long a tick took',
    buckets: SHORT_BUCKETS,
    registers,
  });
  const lateness = new Histogram({
    name: 'conductor_tick_lateness_seconds',
    help: 'How long after its planned instant a tick began',
    buckets: SHORT_BUCKETS,
    registers,
  });
  const claims = new Counter({
    name: 'conductor_claims_total',
    help: 'Jobs claimed by this node',
    labelNames: ['job'],
    registers,
  });
  const claimSeconds = new Histogram({
    name: 'conductor_claim_seconds',
    help: 'How long the store took to hand out jobs',
    buckets: SHORT_BUCKETS,
    registers,
  });
  const stepSeconds = new Histogram({
    name: 'conductor_step_seconds',
    help: 'How long steps ran on this node, by how they ended',
    labelNames: ['job', 'outcome'],
    buckets: LONG_BUCKETS,
    registers,
  });
  const tasks = new Counter({
    name: 'conductor_tasks_total',
    help: 'Tasks of this node by what was recorded; error: the task could not be carried out',
    labelNames: ['job', 'outcome'],
    registers,
  });
  const notifications = new Counter({
    name: 'conductor_notifications_total',
    help: 'Notifications of this node by what became of them; dropped: too many waited for their target',
    labelNames: ['job', 'outcome'],
    registers,
  });
  const logBytes = new Counter({
    name: 'conductor_log_bytes_total',
    help: 'Bytes of output of ended steps',
    labelNames: ['stream'],
    registers,
  });
  const droppedBytes = new Counter({
    name: 'conductor_log_dropped_bytes_total',
    help: 'Bytes of output of ended steps that were dropped to stay within the limit',
    registers,
  });
  return {
    ticked({ decision, durationMs, lateMs }) {
      ticks.inc({ decision });
      tickSeconds.observe(durationMs / 1_000);
      if (lateMs !== undefined) lateness.observe(lateMs / 1_000);
    },
    claimed({ durationMs, leases }) {
      for (const { kind } of leases) claims.inc({ job: kind });
      claimSeconds.observe(durationMs / 1_000);
    },
    stepEnded({ kind }, { outcome, durationMs, state }) {
      stepSeconds.observe({ job: kind, outcome }, durationMs / 1_000);
      logBytes.inc({ stream: 'stdout' }, state.stdoutBytes);
      logBytes.inc({ stream: 'stderr' }, state.stderrBytes);
      droppedBytes.inc(state.droppedBytes);
    },
    taskEnded: ({ kind }, outcome) => tasks.inc({ job: kind, outcome: outcome?.recorded ?? 'error' }),
    notificationEnded: (job, outcome) => notifications.inc({ job, outcome }),
  };
}

function createRead(registry: Registry): NodeMetrics['read'] {
  const registers = [registry];
  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Gauge<Label> => new Gauge({ name, help, labelNames, registers });
  const jobs = gauge('conductor_jobs', 'Jobs by state', ['job', 'state']);
  const oldest = gauge('conductor_oldest_ready_seconds', 'How long the first in line has been due', ['job']);
  const paused = gauge('conductor_paused', '1 while everything is paused');
  const running = gauge('conductor_tasks_running', 'Tasks of this node at work');
  const places = gauge('conductor_tasks_max', 'Tasks this node may run at once');
  const leads = gauge('conductor_leader', '1 while this node leads');
  const term = gauge('conductor_leader_term', 'Term of the leadership, whoever leads');
  const leaseAge = gauge(
    'conductor_leader_lease_age_seconds',
    'Time since the leader lease was renewed, whoever leads',
  );
  const failures = gauge('conductor_leader_failures', 'Tries in a row in which leadership was out of reach');

  return async ({ store, parts, settings, nowMs }) => {
    const [stats, leadership] = await Promise.all([store.stats(), store.leadership(LEADERSHIP)]);
    jobs.reset();
    oldest.reset();
    for (const kind of stats.kinds) {
      for (const state of STATES) jobs.set({ job: kind.kind, state }, kind[state]);
      const dueAtMs = kind.oldestReadyDueAtMs;
      oldest.set({ job: kind.kind }, dueAtMs === undefined ? 0 : Math.max(0, nowMs() - dueAtMs) / 1_000);
    }
    paused.set(stats.isPaused ? 1 : 0);
    running.set(parts.dispatcher?.runningCount() ?? 0);
    places.set(settings.maxParallel);
    const state = parts.leader?.state();
    leads.set(state?.term === undefined ? 0 : 1);
    failures.set(state?.failures ?? 0);
    if (leadership !== undefined) {
      term.set(leadership.term);
      leaseAge.set(Math.max(0, nowMs() - leadership.renewedAtMs) / 1_000);
    }
    return registry.metrics();
  };
}

const STATES = [
  'ready',
  'waiting',
  'running',
  'done',
  'exhausted',
  'cancelled',
] as const satisfies readonly (keyof KindStats)[];
const SHORT_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60];
const LONG_BUCKETS = [0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
