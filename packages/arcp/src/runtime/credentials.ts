/**
 * Keys issued for a job (section 9.8). Invariant: a key's handle is stored before the key is asked for, and stays
 * stored until the provider has taken the key back, over any number of restarts.
 */
import { randomUUID } from 'node:crypto';
import { ArcpError } from '../errors.ts';
import { formatDecimal, type Decimal } from '../decimal.ts';
import type { Lease } from '../lease.ts';
import type { Credential } from '../wire.ts';
import type { Core } from './core.ts';
import type { StoredCredential } from './event-store.ts';
import type { CredentialProvider, CredentialRequest } from './ports.ts';

/** The part of a job that its keys are made from. */
export interface CredentialSubject {
  readonly jobId: string;
  readonly principal: string;
  readonly lease: Lease;
  readonly expiresAtMs: number | undefined;
  readonly budget: ReadonlyMap<string, Decimal>;
}

/** The keys a job would get; empty without a provider. */
export function wantedCredentials(core: Core, subject: CredentialSubject): readonly string[] {
  return core.settings.credentialProvider?.credentialsFor(requestOf(subject)) ?? [];
}

/**
 * Issues keys, all or none.
 *
 * @param core - the runtime
 * @param subject - whom they are for
 * @param credentialIds - what `wantedCredentials` said
 * @throws ArcpError with code INTERNAL_ERROR when the provider refuses one; those issued are taken back
 */
export async function issueCredentials(
  core: Core,
  subject: CredentialSubject,
  credentialIds: readonly string[],
): Promise<readonly Credential[]> {
  const provider = core.settings.credentialProvider;
  if (provider === undefined) return [];
  const rows = credentialIds.map((credentialId): StoredCredential => ({
    handle: `key_${randomUUID()}`,
    jobId: subject.jobId,
    credentialId,
    failedRevocations: 0,
  }));
  for (const row of rows) {
    core.credentials.set(row.handle, row);
    core.ledger.putCredential(row);
  }
  await core.ledger.nextCommit();
  const request = requestOf(subject);
  // All settle before any is taken back: a key must not be issued after its revocation.
  const issued = await Promise.allSettled(
    rows.map(async ({ handle, credentialId }) => ({
      ...(await provider.issue(credentialId, { ...request, handle })),
      id: credentialId,
    })),
  );
  const credentials: Credential[] = [];
  for (const result of issued) {
    if (result.status === 'fulfilled') {
      credentials.push(result.value);
      continue;
    }
    for (const { handle } of rows) revokeHandle(core, handle);
    throw new ArcpError('INTERNAL_ERROR', `Cannot issue credentials of job "${subject.jobId}"`, {
      cause: result.reason,
    });
  }
  return credentials;
}

/** Takes back a job's keys, trying again until it works. */
export function revokeCredentials(core: Core, jobId: string): void {
  const provider = core.settings.credentialProvider;
  if (provider === undefined) return;
  for (const row of core.credentials.values()) {
    if (row.jobId === jobId) revoke(core, provider, row);
  }
}

/** After a restart: what belongs to no live job is taken back. */
export function restoreCredentials(core: Core, rows: readonly StoredCredential[]): void {
  const provider = core.settings.credentialProvider;
  for (const row of rows) core.credentials.set(row.handle, row);
  if (provider === undefined) {
    if (rows.length > 0)
      core.settings.logger.error({ count: rows.length }, 'credentials cannot be revoked: no provider');
    return;
  }
  for (const row of rows) if (!core.jobsById.has(row.jobId)) revoke(core, provider, row);
}

/** The handles under which one of a job's keys may be alive. */
export function handlesOf(core: Core, jobId: string, credentialId: string): readonly string[] {
  return [...core.credentials.values()]
    .filter((row) => row.jobId === jobId && row.credentialId === credentialId)
    .map((row) => row.handle);
}

/** Takes back one key by its handle. */
export function revokeHandle(core: Core, handle: string): void {
  const provider = core.settings.credentialProvider;
  const row = core.credentials.get(handle);
  if (provider !== undefined && row !== undefined) revoke(core, provider, row);
}

function revoke(core: Core, provider: CredentialProvider, row: StoredCredential): void {
  if (core.revoking.has(row.handle)) return;
  core.revoking.add(row.handle);
  const { clock, logger } = core.settings;
  const attempt = (current: StoredCredential): void => {
    if (core.isStopping || core.ledger.hasFailed()) return;
    provider.revoke(current.handle).then(
      () => {
        core.credentials.delete(current.handle);
        core.revoking.delete(current.handle);
        core.ledger.dropCredential(current.handle);
        logger.info({ jobId: current.jobId, credentialId: current.credentialId }, 'credential.revoked');
      },
      (error: unknown) => {
        const failed = { ...current, failedRevocations: current.failedRevocations + 1 };
        core.credentials.set(failed.handle, failed);
        core.ledger.putCredential(failed);
        const fields = {
          jobId: failed.jobId,
          credentialId: failed.credentialId,
          failed: failed.failedRevocations,
        };
        logger.error({ ...fields, err: error }, 'credential could not be revoked');
        const delayMs = Math.min(
          MAX_RETRY_MS,
          FIRST_RETRY_MS * 2 ** Math.min(20, failed.failedRevocations - 1),
        );
        clock.setTimer(delayMs, () => attempt(failed), { keepAlive: false });
      },
    );
  };
  attempt(row);
}

function requestOf(subject: CredentialSubject): Omit<CredentialRequest, 'handle'> {
  const { jobId, principal, lease, expiresAtMs, budget } = subject;
  return {
    jobId,
    principal,
    lease,
    expiresAt: expiresAtMs === undefined ? undefined : new Date(expiresAtMs).toISOString(),
    budget: Object.fromEntries(Array.from(budget, ([currency, left]) => [currency, formatDecimal(left)])),
  };
}

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 300_000;
