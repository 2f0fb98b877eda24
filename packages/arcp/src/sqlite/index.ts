export { openSqliteEventStore, type SqliteEventStoreOptions } from './sqlite-event-store.ts';
export type { StoredCounter } from '../budget.ts';
export type { JobStatus } from '../job-state.ts';
export type {
  EventQuery,
  EventStore,
  JobQuery,
  StoreBatch,
  StoredCredential,
  StoredEvent,
  StoredJob,
  StoredResultStream,
  StoredRuntime,
  StoredSession,
  StoredSubscription,
} from '../runtime/event-store.ts';
