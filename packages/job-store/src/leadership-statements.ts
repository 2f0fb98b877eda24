/** Every SQL statement over leaderships and nodes, prepared once per connection. */
import type { Database } from 'better-sqlite3';
import type { Params, Prepared } from './statements.ts';

/** @internal The prepared statements over leaderships and nodes. */
export interface LeadershipStatements {
  readonly leadership: Prepared;
  readonly terms: Prepared;
  readonly acquire: Prepared;
  readonly renew: Prepared;
  readonly resign: Prepared;
  readonly startTerm: Prepared;
  readonly endTerm: Prepared;
  readonly beat: Prepared;
  readonly nodes: Prepared;
  readonly removeNode: Prepared;
}

/** @internal Prepares what works on leaderships and nodes. */
export function prepareLeadership(db: Database): LeadershipStatements {
  const prepare = (sql: string): Prepared => db.prepare<[Params]>(sql);
  return {
    leadership: prepare('select * from leaderships where name = @name'),
    terms: prepare('select * from leadership_terms where name = @name order by term desc limit @limit'),
    acquire: prepare(`
insert into leaderships (name, term, version, holder_id, host, ttl_ms, acquired_at_ms, renewed_at_ms, lease_expires_at_ms)
values (@name, @term, 1, @holderId, @host, @ttlMs, @nowMs, @nowMs, @expiresAtMs)
on conflict (name) do update set
  term                = excluded.term,
  version             = version + 1,
  holder_id           = excluded.holder_id,
  host                = excluded.host,
  ttl_ms              = excluded.ttl_ms,
  acquired_at_ms      = excluded.acquired_at_ms,
  renewed_at_ms       = excluded.renewed_at_ms,
  lease_expires_at_ms = excluded.lease_expires_at_ms
where excluded.term > term
returning *`),
    renew: prepare(`
update leaderships set
  version             = version + 1,
  ttl_ms              = @ttlMs,
  renewed_at_ms       = @nowMs,
  lease_expires_at_ms = @expiresAtMs
where name = @name and holder_id = @holderId
returning *`),
    resign: prepare(`
update leaderships set
  version             = version + 1,
  holder_id           = null,
  host                = null,
  lease_expires_at_ms = @nowMs
where name = @name and holder_id = @holderId`),
    startTerm: prepare(`
insert into leadership_terms (name, term, holder_id, host, acquired_at_ms)
values (@name, @term, @holderId, @host, @nowMs)`),
    endTerm: prepare(`
update leadership_terms set ended_at_ms = @nowMs, ended_by = @endedBy
where name = @name and ended_at_ms is null`),
    beat: prepare(`
insert into nodes (node_id, host, version, ttl_ms, started_at_ms, beat_at_ms, state)
values (@nodeId, @host, 1, @ttlMs, @nowMs, @nowMs, @state)
on conflict (node_id) do update set
  host       = excluded.host,
  version    = version + 1,
  ttl_ms     = excluded.ttl_ms,
  beat_at_ms = excluded.beat_at_ms,
  state      = excluded.state`),
    nodes: prepare('select * from nodes order by node_id'),
    removeNode: prepare('delete from nodes where node_id = @nodeId'),
  };
}
