/** What the model test may do. Plain data, so that a failing run can be written down. */

/** How a claim of the next jobs is limited. */
export interface ModelClaim {
  /** How many at most. */
  readonly limit: number;
  /** Only these kinds, by number. */
  readonly kinds?: readonly number[];
  /** How many of each kind may run. */
  readonly perKind?: number;
  /** How many of each concurrency key may run. */
  readonly perConcurrencyKey?: number;
}

/** One step of a run; a kind that is not given is the first. */
export type ModelCommand =
  | {
      readonly type: 'enqueue';
      readonly worker: number;
      readonly key: number;
      readonly watermark?: number;
      readonly retries?: number;
      /** The number of its kind. */
      readonly kind?: number;
      /** How long until it is due, in ms; at once without it. */
      readonly dueInMs?: number;
      /** The number of its concurrency key; none without it. */
      readonly concurrencyKey?: number;
      /** Whether it brings a payload too large for a row. */
      readonly isLarge?: boolean;
    }
  | {
      readonly type: 'enqueueMany';
      readonly worker: number;
      readonly kind: number;
      readonly keys: readonly number[];
    }
  | ({ readonly type: 'claimNext'; readonly worker: number } & ModelClaim)
  | ({ readonly type: 'completeAndClaim'; readonly worker: number; readonly lease: number } & ModelClaim)
  | { readonly type: 'claim'; readonly worker: number; readonly key: number; readonly kind?: number }
  | {
      readonly type: 'heartbeat' | 'succeed' | 'fail' | 'release';
      readonly worker: number;
      /** Which of all leases ever given out, stale ones included. */
      readonly lease: number;
      /** Whether a success leaves a result too large for a row. */
      readonly isLarge?: boolean;
    }
  | {
      readonly type: 'cancel' | 'retry' | 'remove';
      readonly worker: number;
      readonly key: number;
      readonly kind?: number;
    }
  | { readonly type: 'pause' | 'resume'; readonly worker: number; readonly kind?: number }
  | { readonly type: 'prune'; readonly worker: number; readonly ageMs: number }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'reopen'; readonly worker: number }
  | { readonly type: 'crash'; readonly worker: number; readonly statements: number };
