/** Leadership file, migration 1. Never edited after release: its checksum is stored in every database. */

/** @internal */
export const LEADERSHIP_0001: string = `
create table leaderships (
  name                text    primary key,
  term                integer not null,
  -- grows with every write; watchers look for its change, never at the times
  version             integer not null,
  holder_id           text,
  host                text,
  ttl_ms              integer not null,
  acquired_at_ms      integer not null,
  renewed_at_ms       integer not null,
  lease_expires_at_ms integer not null,
  check ((holder_id is null) = (host is null))
) strict, without rowid;

create table leadership_terms (
  name           text    not null,
  term           integer not null,
  holder_id      text    not null,
  host           text    not null,
  acquired_at_ms integer not null,
  ended_at_ms    integer,
  ended_by       text check (ended_by in ('resigned', 'superseded')),
  primary key (name, term),
  check ((ended_at_ms is null) = (ended_by is null))
) strict, without rowid;

create table nodes (
  node_id       text    primary key,
  host          text    not null,
  version       integer not null,
  ttl_ms        integer not null,
  started_at_ms integer not null,
  beat_at_ms    integer not null,
  state         text
) strict, without rowid;
`;
