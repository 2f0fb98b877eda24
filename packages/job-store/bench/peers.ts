/**
 * The peers the benchmarks compare with, behind one shape: each round claims and completes one job.
 * plainjob is the published package. liteque 0.8.0 cannot dequeue on better-sqlite3 13 ("Transaction function cannot
 * return a promise"), so its published schema and its three statements are run here directly, without its query
 * builder: an upper bound of what it could do.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Database from 'better-sqlite3';

/** A queue that holds a backlog. */
export interface PeerQueue {
  /** Claims one job and completes it; false when there is none. */
  claimAndComplete(): boolean;
  /** Adds one job. */
  add(): void;
  close(): void;
}

/** The part of plainjob used here: the types it ships need `bun:sqlite`. */
interface Plainjob {
  better(db: Database.Database): object;
  defineQueue(options: object): {
    add(type: string, value: unknown): { readonly id: number };
    getAndMarkJobAsProcessing(type: string): { readonly id: number } | undefined;
    getJobById(id: number): unknown;
    markJobAsDone(id: number): void;
    close(): void;
  };
}
const plainjob = createRequire(import.meta.url)('plainjob') as Plainjob;
const silent = { error() {}, warn() {}, info() {}, debug() {} };

export type Synchronous = 'normal' | 'full';

export function openPlainjob(dir: string, synchronous: Synchronous, backlog: number): PeerQueue {
  const db = new Database(join(dir, 'plainjob.db'));
  const queue = plainjob.defineQueue({ connection: plainjob.better(db), logger: silent });
  // It sets NORMAL itself.
  db.pragma(`synchronous = ${synchronous}`);
  db.transaction(() => {
    for (let i = 0; i < backlog; i += 1) queue.add('noop', {});
  })();
  return {
    claimAndComplete() {
      const claimed = queue.getAndMarkJobAsProcessing('noop');
      if (claimed === undefined) return false;
      // As its worker does: the claim answers an id only.
      queue.getJobById(claimed.id);
      queue.markJobAsDone(claimed.id);
      return true;
    },
    add: () => {
      queue.add('noop', {});
    },
    close: () => queue.close(),
  };
}

const LITEQUE_SCHEMA = `
create table tasks (
  id integer primary key autoincrement not null, queue text not null, payload text not null,
  createdAt integer not null, status text default 'pending' not null, expireAt integer, allocationId text not null,
  numRunsLeft integer not null, maxNumRuns integer not null, idempotencyKey text,
  priority integer default 0 not null, availableAt integer
);
create index tasks_queue_idx on tasks (queue);
create index tasks_status_idx on tasks (status);
create index tasks_expire_at_idx on tasks (expireAt);
create index tasks_num_runs_left_idx on tasks (numRunsLeft);
create index tasks_max_num_runs_idx on tasks (maxNumRuns);
create index tasks_allocation_id_idx on tasks (allocationId);
create index tasks_priority_idx on tasks (priority);
create index tasks_available_at_idx on tasks (availableAt);
create unique index tasks_queue_idempotencyKey_unique on tasks (queue, idempotencyKey)`;

export function openLitequePattern(dir: string, synchronous: Synchronous, backlog: number): PeerQueue {
  const db = new Database(join(dir, 'liteque.db'));
  db.pragma('journal_mode = wal');
  db.pragma(`synchronous = ${synchronous}`);
  db.pragma('cache_size = -65536');
  db.pragma('temp_store = memory');
  db.exec(LITEQUE_SCHEMA);
  const insert = db.prepare<[number, number]>(`
insert into tasks (queue, payload, createdAt, allocationId, numRunsLeft, maxNumRuns, availableAt)
values ('noop', '{}', ?, 'fresh', 4, 4, ?) on conflict (queue, idempotencyKey) do nothing returning *`);
  const select = db.prepare<[number, number], { id: number; allocationId: string }>(`
select * from tasks
where queue = 'noop' and (availableAt <= ? or availableAt is null)
  and (status = 'pending' or status = 'pending_retry' or (status = 'running' and expireAt < ?))
order by priority asc, createdAt asc limit 1`);
  const claim = db.prepare<[string, number, number, string]>(`
update tasks set status = 'running', numRunsLeft = numRunsLeft - 1, allocationId = ?, expireAt = ?
where id = ? and allocationId = ? returning *`);
  const complete = db.prepare<[number, string]>('delete from tasks where id = ? and allocationId = ?');
  const add = (): void => {
    insert.all(Math.floor(Date.now() / 1000), Date.now());
  };
  db.transaction(() => {
    for (let i = 0; i < backlog; i += 1) add();
  })();
  const dequeue = db.transaction((allocationId: string) => {
    const nowS = Math.floor(Date.now() / 1000);
    const task = select.get(Date.now(), nowS);
    if (task !== undefined) claim.all(allocationId, nowS + 60, task.id, task.allocationId);
    return task;
  });
  return {
    claimAndComplete() {
      const allocationId = Math.random().toString(36).slice(2, 15);
      const task = dequeue(allocationId);
      if (task === undefined) return false;
      complete.run(task.id, allocationId);
      return true;
    },
    add,
    close: () => db.close(),
  };
}
