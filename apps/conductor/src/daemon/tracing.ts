/**
 * OpenTelemetry spans of ticks, claims and steps, when `@opentelemetry/api` is installed and somebody has set up where
 * they go. Invariant: without it nothing is loaded, and a span is written once, after the fact, with its true times.
 */
import type * as OpenTelemetry from '@opentelemetry/api';
import type { Attributes, Span, Tracer } from '@opentelemetry/api';

import { VERSION } from '../version.ts';
import type { Observer } from './observer.ts';

type Api = typeof OpenTelemetry;

/** Loads the API and makes the observer that writes spans; `undefined` when it is not installed. */
export async function loadTracing(): Promise<Observer | undefined> {
  const api = await loadApi();
  return api === undefined ? undefined : createTracing(api, api.trace.getTracer('conductor', VERSION));
}

async function loadApi(): Promise<Api | undefined> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

function createTracing(api: Api, tracer: Tracer): Observer {
  /** The claim of each task under way, by its token: its steps belong to the same trace. */
  const claims = new Map<number, Span>();
  const begin = (name: string, startTime: number, attributes: Attributes, parent?: Span): Span => {
    const parents = api.context.active();
    return tracer.startSpan(
      name,
      { startTime, attributes },
      parent === undefined ? parents : api.trace.setSpan(parents, parent),
    );
  };
  return {
    ticked({ batchId, trigger, decision, startedAtMs, durationMs, lateMs, runnerCount, failedRunnerCount }) {
      const span = begin('conductor.tick', startedAtMs, {
        'conductor.tick.id': batchId,
        'conductor.tick.trigger': trigger,
        'conductor.tick.decision': decision,
        'conductor.tick.runners': runnerCount,
        ...(lateMs !== undefined && { 'conductor.tick.late_ms': lateMs }),
      });
      if (decision === 'failed' || failedRunnerCount > 0) span.setStatus({ code: api.SpanStatusCode.ERROR });
      span.end(startedAtMs + durationMs);
    },
    claimed({ startedAtMs, durationMs, leases }) {
      for (const { kind, key, token, attempt } of leases) {
        const span = begin('conductor.claim', startedAtMs, {
          'conductor.job': kind,
          'conductor.key': key,
          'conductor.attempt': attempt,
          'conductor.token': token,
        });
        span.end(startedAtMs + durationMs);
        claims.set(token, span);
      }
    },
    stepEnded({ kind, key, token, attempt }, result) {
      const { taskId, runId, stepName, outcome, ok, finishedAt, startedAt = finishedAt, exitCode } = result;
      const attributes = {
        'conductor.job': kind,
        'conductor.key': key,
        'conductor.attempt': attempt,
        'conductor.task': taskId,
        'conductor.run': runId,
        'conductor.step': stepName,
        'conductor.outcome': outcome,
        ...(exitCode !== undefined && { 'conductor.exit_code': exitCode }),
      };
      const span = begin('conductor.step', startedAt, attributes, claims.get(token));
      if (!ok) span.setStatus({ code: api.SpanStatusCode.ERROR, message: result.summary });
      span.end(finishedAt);
    },
    taskEnded: ({ token }) => void claims.delete(token),
    notificationEnded: () => undefined,
  };
}
