/** Every SQL statement over schedules, slots and fences, prepared once per connection. */
import type { Database } from 'better-sqlite3';
import type { Params, Prepared } from './statements.ts';

/** @internal The prepared statements over slots. */
export interface SlotStatements {
  readonly raiseFence: Prepared;
  readonly fence: Prepared;
  readonly slot: Prepared;
  readonly insertSlot: Prepared;
  readonly moveCursor: Prepared;
  readonly cursor: Prepared;
  readonly slots: Prepared;
}

/** @internal Prepares what works on slots. */
export function prepareSlots(db: Database): SlotStatements {
  const prepare = (sql: string): Prepared => db.prepare<[Params]>(sql);
  return {
    raiseFence: prepare(`
insert into leadership_fences (leadership, term) values (@leadership, @term)
on conflict (leadership) do update set term = excluded.term where excluded.term > term`),
    fence: prepare('select term from leadership_fences where leadership = @leadership').pluck(),
    slot: prepare('select * from schedule_slots where schedule = @schedule and slot_ms = @slotMs'),
    insertSlot: prepare(`
insert into schedule_slots (schedule, slot_ms, leadership, term, decision, reason, decided_at_ms)
values (@schedule, @slotMs, @leadership, @term, @decision, @reason, @nowMs)`),
    moveCursor: prepare(`
insert into schedule_cursors (schedule, cursor_slot_ms) values (@schedule, @slotMs)
on conflict (schedule) do update set cursor_slot_ms = max(cursor_slot_ms, excluded.cursor_slot_ms)`),
    cursor: prepare('select cursor_slot_ms from schedule_cursors where schedule = @schedule').pluck(),
    slots: prepare(`
select * from schedule_slots
where schedule = @schedule
  and slot_ms < @beforeMs
order by slot_ms desc
limit @limit`),
  };
}
