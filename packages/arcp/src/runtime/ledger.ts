/**
 * One commit per turn of the loop: everything a turn changed is kept together, and only then do frames leave and
 * agents start. Invariant: nothing that a peer or an agent has seen can be lost by a crash of this process.
 */
import { createDeferred, type Deferred } from '../deferred.ts';
import type {
  EventStore,
  StoreBatch,
  StoredCredential,
  StoredEvent,
  StoredJob,
  StoredSession,
} from './event-store.ts';

/** Something with a stored form; taken when the turn ends, so that many changes cost one write. */
export interface Storable<T> {
  toStored(): T;
}

/** Something that waits for the commit. */
export interface CommitListener {
  committed(): void;
}

/** The changes of this turn. */
export interface Ledger {
  /** Keeps a session at the end of the turn. */
  touchSession(session: Storable<StoredSession>): void;
  /** Keeps a job at the end of the turn. */
  touchJob(job: Storable<StoredJob>): void;
  /** Adds an event. Commits at once when the turn has grown large. */
  addEvent(event: StoredEvent): void;
  /** Keeps a credential. */
  putCredential(credential: StoredCredential): void;
  /** Forgets a credential that is revoked. */
  dropCredential(handle: string): void;
  /** Forgets a session. */
  removeSession(session: Storable<StoredSession>, sessionId: string): void;
  /** Tells a connection, once, after the commit. */
  notify(listener: CommitListener): void;
  /** Runs something once, after the commit. */
  afterCommit(action: () => void): void;
  /** Resolves after the next commit. */
  nextCommit(): Promise<void>;
  /** Events of this turn. */
  pendingEvents(): number;
  /** Commits now. */
  flush(): void;
  /** Whether the store has refused something. */
  hasFailed(): boolean;
}

/**
 * Makes a ledger.
 *
 * @param store - where it commits to
 * @param onFailure - called once when the store throws; nothing is committed afterwards
 */
export function createLedger(store: EventStore, onFailure: (error: unknown) => void): Ledger {
  let turn = createTurn();
  let isScheduled = false;
  let hasFailed = false;

  const schedule = (): void => {
    if (isScheduled || hasFailed) return;
    isScheduled = true;
    setImmediate(flush);
  };
  const flush = (): void => {
    isScheduled = false;
    if (hasFailed || turn.isEmpty) return;
    const done = turn;
    turn = createTurn();
    try {
      store.commit(toBatch(done));
    } catch (error) {
      hasFailed = true;
      onFailure(error);
      return;
    }
    for (const listener of done.listeners) listener.committed();
    for (const action of done.actions) action();
    done.commit?.resolve();
  };
  const change = (): Turn => {
    turn.isEmpty = false;
    schedule();
    return turn;
  };

  return {
    touchSession: (session) => void change().sessions.add(session),
    touchJob: (job) => void change().jobs.add(job),
    addEvent(event) {
      const changed = change();
      changed.events.push(event);
      changed.bytes += event.payloadJson.length;
      if (changed.bytes > MAX_TURN_BYTES) flush();
    },
    putCredential: (credential) => void change().credentials.push(credential),
    dropCredential: (handle) => void change().revokedHandles.push(handle),
    removeSession(session, sessionId) {
      const changed = change();
      changed.sessions.delete(session);
      changed.removedSessionIds.push(sessionId);
    },
    notify: (listener) => void change().listeners.add(listener),
    afterCommit: (action) => void change().actions.push(action),
    nextCommit() {
      const changed = change();
      changed.commit ??= createDeferred<void>();
      return changed.commit.promise;
    },
    pendingEvents: () => turn.events.length,
    flush,
    hasFailed: () => hasFailed,
  };
}

interface Turn {
  isEmpty: boolean;
  bytes: number;
  readonly sessions: Set<Storable<StoredSession>>;
  readonly jobs: Set<Storable<StoredJob>>;
  readonly events: StoredEvent[];
  readonly credentials: StoredCredential[];
  readonly revokedHandles: string[];
  readonly removedSessionIds: string[];
  readonly listeners: Set<CommitListener>;
  readonly actions: (() => void)[];
  commit: Deferred<void> | undefined;
}

function createTurn(): Turn {
  return {
    isEmpty: true,
    bytes: 0,
    sessions: new Set(),
    jobs: new Set(),
    events: [],
    credentials: [],
    revokedHandles: [],
    removedSessionIds: [],
    listeners: new Set(),
    actions: [],
    commit: undefined,
  };
}

function toBatch(turn: Turn): StoreBatch {
  return {
    sessions: Array.from(turn.sessions, (session) => session.toStored()),
    jobs: Array.from(turn.jobs, (job) => job.toStored()),
    events: turn.events,
    credentials: turn.credentials,
    revokedHandles: turn.revokedHandles,
    removedSessionIds: turn.removedSessionIds,
  };
}

/** So that an agent that never yields cannot fill the memory with one turn. */
const MAX_TURN_BYTES = 4 * 1_024 * 1_024;
