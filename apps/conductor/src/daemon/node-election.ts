/**
 * A node's run for leadership, and the gate only the leader passes.
 * Invariant: rank decides who waits longer for a dead leader's place, never who loses it.
 */
import { createHolderId, type Election, type JobStore, startElection } from '@conductor-run/job-store';
import type { Gate } from '@conductor-run/timed-jobs';

import { toNodeState } from '../node-state.ts';
import type { Settings } from '../settings.ts';
import type { DaemonOptions } from './daemon.ts';
import type { DaemonParts } from './parts.ts';

/**
 * Lets a tick happen on the node that leads, while nothing is paused as a whole.
 *
 * @param options - the daemon's
 * @param parts - what there is of it
 */
export function createGate({ config, store }: DaemonOptions, parts: DaemonParts): Gate {
  return {
    async schedule(work) {
      const term = parts.leader?.term();
      if (term === undefined) return { decision: 'skipped_not_leader' };
      if ((await store.stats()).isPaused) return { decision: 'skipped_system_paused' };
      await work({ controllerId: config.settings.nodeId, host: config.settings.host, term });
      return { decision: 'scheduled' };
    },
  };
}

/**
 * Runs for a leadership; whoever starts it stops it.
 *
 * @param name - which
 * @param options - the daemon's
 * @param onElected - called when it is won
 */
export function startNodeElection(
  name: string,
  { config, io, store, logger }: DaemonOptions,
  onElected: () => void,
): Election {
  const { settings } = config;
  return startElection({
    store,
    name,
    host: settings.host,
    // Another start of the same node is another holder: what the first one still has in flight is fenced off.
    holderId: createHolderId(settings.nodeId),
    ttlMs: settings.leaseTtlMs,
    renewDeadlineMs: settings.leaseRenewDeadlineMs,
    retryMs: settings.leaseRetryMs,
    renewFailureThreshold: settings.renewFailureThreshold,
    preferredHolderId: () => preferredNode(name, config.settings, store, io.clock.nowMs()),
    clock: io.clock,
    logger,
    onElected,
  });
}

/** A live node of higher rank that could take over; not the one that leads now, which may just have died. */
async function preferredNode(
  name: string,
  { nodeId, priority }: Settings,
  store: JobStore,
  nowMs: number,
): Promise<string | undefined> {
  const holderId = (await store.leadership(name))?.holderId;
  const better = (await store.nodes())
    .map((node) => toNodeState(node, nowMs))
    .find((node) => {
      const isHigher = node.priority !== undefined && node.priority > priority;
      return (
        node.isLive && isHigher && node.nodeId !== nodeId && holderId?.startsWith(`${node.nodeId}/`) !== true
      );
    });
  // No holder and no host has this name: it is enough to say that it is not us.
  return better === undefined ? undefined : `${better.nodeId}/`;
}
