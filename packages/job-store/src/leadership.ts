/** What leadership and node records look like, and the calls on them. */
import type { JsonValue } from './jobs.ts';

/** Asks to lead, or to go on leading. */
export interface AcquireLeadershipRequest {
  /** Which leadership. */
  readonly name: string;
  /** Who asks: host plus something random per start, see `createHolderId`. */
  readonly holderId: string;
  /** On which host, for people. */
  readonly host: string;
  /** How long the leadership holds without renewal, in ms, at least 1. */
  readonly ttlMs: number;
  /**
   * A holder or host to give precedence: anybody else leaves a free leadership alone for one more `ttlMs`.
   *
   * @defaultValue nobody
   */
  readonly preferredHolderId?: string;
}

/** What asking came to. */
export interface AcquireLeadershipResult {
  /** Whether the asker leads now. */
  readonly isLeader: boolean;
  /** The current term. Grows with each change of holder, never repeats. */
  readonly term: number;
  /** Who leads; unset while nobody does. */
  readonly holderId: string | undefined;
  /** When the leadership ends unless renewed, UTC ms of the holder's clock: for people, not for comparing. */
  readonly leaseExpiresAtMs: number;
  /** When it was last renewed, UTC ms of the holder's clock. */
  readonly renewedAtMs: number;
  /** What happened. */
  readonly operation: 'acquire' | 'renew' | 'rejected';
  /** On the asker's own monotonic clock, when its leadership ends; read before the write. 0 when rejected. */
  readonly heldUntilMonotonicMs: number;
}

/** Who leads. */
export interface Leadership {
  /** Which leadership. */
  readonly name: string;
  /** The current term. */
  readonly term: number;
  /** Who leads; unset after a resignation. */
  readonly holderId: string | undefined;
  /** On which host. */
  readonly host: string | undefined;
  /** How long it holds without renewal, in ms. */
  readonly ttlMs: number;
  /** When the term began, UTC ms of the holder's clock. */
  readonly acquiredAtMs: number;
  /** When it was last renewed, UTC ms of the holder's clock. */
  readonly renewedAtMs: number;
  /** When it ends unless renewed, UTC ms of the holder's clock. */
  readonly leaseExpiresAtMs: number;
}

/** One term of a leadership. */
export interface LeadershipTerm {
  /** The term. */
  readonly term: number;
  /** Who led. */
  readonly holderId: string;
  /** On which host. */
  readonly host: string;
  /** When it began, UTC ms. */
  readonly acquiredAtMs: number;
  /** When it ended, UTC ms; unset while it lasts. */
  readonly endedAtMs: number | undefined;
  /** How it ended. */
  readonly endedBy: 'resigned' | 'superseded' | undefined;
}

/** A sign of life. */
export interface NodeHeartbeat {
  /** Which node: unique per start. */
  readonly nodeId: string;
  /** On which host. */
  readonly host: string;
  /** How long the node counts as live without the next one, in ms, at least 1. */
  readonly ttlMs: number;
  /** What the node tells about itself. */
  readonly state?: JsonValue;
}

/** A node as this store sees it. */
export interface NodeRecord {
  /** Which node. */
  readonly nodeId: string;
  /** On which host. */
  readonly host: string;
  /** How long it counts as live without a sign of life, in ms. */
  readonly ttlMs: number;
  /** When its first sign of life was written, UTC ms of its own clock. */
  readonly startedAtMs: number;
  /** When its last sign of life was written, UTC ms of its own clock. */
  readonly beatAtMs: number;
  /** How long ago this store saw the record change, in monotonic ms; 0 when it sees it for the first time. */
  readonly silentForMs: number;
  /** Whether it has changed within its `ttlMs`, as watched from here. */
  readonly isLive: boolean;
  /** What it tells about itself. */
  readonly state: JsonValue | undefined;
}

/** Calls on leadership and nodes. */
export interface LeadershipStore {
  /**
   * Takes, keeps or is refused a leadership. A holder that stopped renewing loses it once this store has watched its
   * record stand still for the holder's `ttlMs`. Never says `isLeader` before lower terms are refused by `decideSlot`.
   */
  acquireLeadership(request: AcquireLeadershipRequest): Promise<AcquireLeadershipResult>;
  /** Gives a leadership up, so that others need not wait. False when `holderId` did not hold it. */
  resignLeadership(name: string, holderId: string): Promise<boolean>;
  /** Who leads; undefined when nobody ever did. */
  leadership(name: string): Promise<Leadership | undefined>;
  /**
   * The terms so far, newest first.
   *
   * @param name - of which leadership
   * @param limit - how many at most, 1 to 1,000
   */
  leadershipTerms(name: string, limit?: number): Promise<readonly LeadershipTerm[]>;
  /** Writes a sign of life. */
  nodeHeartbeat(request: NodeHeartbeat): Promise<void>;
  /** The nodes by id, live and dead. */
  nodes(): Promise<readonly NodeRecord[]>;
  /** Forgets a node. False when it was not known. */
  removeNode(nodeId: string): Promise<boolean>;
}
