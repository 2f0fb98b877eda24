/**
 * How long a record has stood still, on our own monotonic clock. Nodes never compare their wall clocks: whoever wrote
 * the record may live in another hour, but a record that changes is alive.
 */
import type { Clock } from '@conductor-run/clock';

/** @internal Remembers when each record was last seen to change. */
export interface ChangeWatch {
  /** Monotonic ms since the record named `name` was first seen at `version`; 0 when that is now. */
  unchangedForMs(name: string, version: string): number;
}

/** @internal */
export function createChangeWatch(clock: Clock): ChangeWatch {
  const seen = new Map<string, { readonly version: string; readonly sinceMs: number }>();
  return {
    unchangedForMs(name, version) {
      const nowMs = clock.monotonicMs();
      const last = seen.get(name);
      if (last?.version === version) return nowMs - last.sinceMs;
      seen.set(name, { version, sinceMs: nowMs });
      return 0;
    },
  };
}
