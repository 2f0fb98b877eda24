/**
 * What a job may do, asked before every operation (sections 9.3, 9.5 to 9.7). Invariant: the answer is synchronous and
 * comes from one place: lease, time and budget of the job and of every ancestor.
 */
import { ArcpError, errorToPayload } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import { isGranted } from '../lease.ts';
import type { Authorization } from './agent-host.ts';
import type { Core, Job } from './core.ts';
import { fail } from './job-life.ts';

/**
 * Asks for one operation. An expired lease ends the job, but only after the caller had a chance to report the refusal.
 *
 * @param core - the runtime
 * @param job - who asks
 * @param namespace - such as `tool.call`
 * @param resource - path, URL or name
 */
export function authorize(core: Core, job: Job, namespace: string, resource: string): Authorization {
  const refusal = refusalOf(core, job, namespace, resource);
  if (refusal === undefined) return ALLOWED;
  const error = errorToPayload(refusal);
  if (error.code === 'LEASE_EXPIRED') {
    core.settings.logger.warn({ jobId: job.id, principal: job.principal, namespace }, 'lease.expired');
    queueMicrotask(() =>
      fail(core, job, 'error', { ...error, message: 'The lease expired during execution' }),
    );
  }
  return { isAllowed: false, error };
}

function refusalOf(core: Core, job: Job, namespace: string, resource: string): ArcpError | undefined {
  const details = { capability: namespace, resource: resource.slice(0, MAX_SHOWN) };
  if (isFinal(job.status)) {
    const code = job.end?.code ?? 'CANCELLED';
    return new ArcpError(code, `Cannot authorize ${namespace}: job "${job.id}" has ended`, { details });
  }
  if (core.settings.clock.monotonicMs() >= job.expiresMonotonicMs) {
    const at = job.expiresAtMs === undefined ? '' : new Date(job.expiresAtMs).toISOString();
    return new ArcpError('LEASE_EXPIRED', `Cannot authorize ${namespace}: the lease expired at ${at}`, {
      details,
    });
  }
  if (!isCovered(core, job, namespace, resource)) {
    const message = `Cannot authorize ${namespace} "${details.resource}": no pattern of the lease covers it`;
    return new ArcpError('PERMISSION_DENIED', message, { details });
  }
  const currency = job.budget.exhausted();
  if (currency === undefined) return undefined;
  return new ArcpError(
    'BUDGET_EXHAUSTED',
    `Cannot authorize ${namespace}: the ${currency} budget is exhausted`,
    {
      details: { ...details, currency },
    },
  );
}

function isCovered(core: Core, job: Job, namespace: string, resource: string): boolean {
  const isOpenModel = namespace === 'model.use' && !core.settings.isModelLeaseRequired && !namesModels(job);
  return isOpenModel || isGranted(job.lease, namespace, resource);
}

/** Who says nothing of models may not use more of them than whoever delegated. */
function namesModels(job: Job): boolean {
  for (let each: Job | undefined = job; each !== undefined; each = each.parent) {
    if (each.lease.patterns.has('model.use')) return true;
  }
  return false;
}

const ALLOWED: Authorization = { isAllowed: true };
const MAX_SHOWN = 500;
