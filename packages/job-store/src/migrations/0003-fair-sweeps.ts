/** Main file, migration 3. Never edited after release: its checksum is stored in every database. */

/**
 * @internal Lets what falls due into the queue kind by kind, so that a flood in one holds up no other; and keeps whose
 * turn it was for claimers that live for one claim.
 */
export const FAIR_SWEEPS_0003: string = `
create index jobs_waiting_by_kind on jobs (kind, coalesce(retry_at_ms, due_at_ms)) where queue = 2;

alter table job_tokens add column last_kind text not null default '';
`;
