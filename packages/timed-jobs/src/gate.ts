/** The gate: who may tick. Invariant: nothing leader-only happens outside the work a gate was asked to run. */

/** Under whose authority a tick runs. */
export interface Leadership {
  /** Identity of this node, unique per start. */
  readonly controllerId: string;
  /** Name of the machine. */
  readonly host: string;
  /** The fencing number of this leadership: every write made in the tick presents it. */
  readonly term: number;
  /** Aborts when leadership ends while the tick runs; the tick's own signal follows it. */
  readonly signal?: AbortSignal;
}

/** What the gate did. */
export interface GateAnswer {
  /** `scheduled`: the work ran to its end. Otherwise it was not called. */
  readonly decision: 'scheduled' | 'skipped_not_leader' | 'skipped_system_paused';
}

/** Decides whether this node may tick. The app implements it on its leader lease. */
export interface Gate {
  /**
   * Calls `work` once when this node leads and the system is not paused, and resolves after it.
   * May reject: the tick is then `failed` and the loop goes on.
   *
   * @param work - the tick; rejects only when it is called twice, or after `stop` has given up on the gate
   */
  schedule(work: (leadership: Leadership) => Promise<void>): Promise<GateAnswer>;
}

/**
 * A gate that is always open: one process, nobody to share with.
 *
 * @param leadership - who this node is
 */
export function createOpenGate(leadership: Leadership): Gate {
  return {
    async schedule(work) {
      await work(leadership);
      return { decision: 'scheduled' };
    },
  };
}
