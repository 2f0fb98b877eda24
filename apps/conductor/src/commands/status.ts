/** `conductor status`: who leads, who lives, what runs. Reads the store; works with and without a daemon. */
import type { KindStats, Leadership, NodeRecord } from '@conductor-run/job-store';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { LEADERSHIP } from '../daemon/daemon.ts';
import type { CliIo } from '../io.ts';
import { formatTable } from '../terminal/table.ts';
import { formatRelative } from '../terminal/time.ts';
import { storePath, withStore } from '../wire.ts';

/** Adds `status`. */
export function addStatusCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('status')
      .description('nodes, leader, jobs by state')
      .addHelpText('after', '\nExample:\n  conductor status --json'),
  ).action(async (options: CliOptions) => {
    const context = createContext(io, options);
    const status = await withStore(context, async (store) => ({
      store: storePath(context),
      leadership: await store.leadership(LEADERSHIP),
      nodes: await store.nodes(),
      stats: await store.stats(),
    }));
    if (context.json) {
      context.printJson(status);
      return;
    }
    context.print(describe(context, status.leadership, status.nodes, status.stats.kinds));
    if (status.stats.isPaused) context.print(`${context.paint('warn', 'everything is paused')}\n`);
  });
}

function describe(
  context: Context,
  leadership: Leadership | undefined,
  nodes: readonly NodeRecord[],
  kinds: readonly KindStats[],
): string {
  const { paint } = context;
  const nowMs = context.io.clock.nowMs();
  // The CLI has just opened the store, so it judges a node by its own timestamps: good enough for people on one machine.
  const isRecent = (node: NodeRecord): boolean => nowMs - node.beatAtMs < node.ttlMs;
  const leads = leadership?.holderId !== undefined && leadership.leaseExpiresAtMs > nowMs;
  const leader = leads
    ? `${leadership.holderId ?? ''}, term ${leadership.term}, renewed ${formatRelative(leadership.renewedAtMs, nowMs)}`
    : 'nobody (conductor start runs a daemon)';
  const total = (pick: (kind: KindStats) => number): number =>
    kinds.reduce((sum, kind) => sum + pick(kind), 0);
  const lines = [
    `${paint('dim', 'store  ')} ${storePath(context)}`,
    `${paint('dim', 'leader ')} ${paint(leads ? 'good' : 'warn', leader)}`,
    `${paint('dim', 'jobs   ')} ${total((kind) => kind.running)} running, ${total((kind) => kind.ready)} ready, ${total((kind) => kind.waiting)} waiting, ${total((kind) => kind.done)} done, ${total((kind) => kind.exhausted)} out of retries`,
  ];
  const table =
    nodes.length === 0
      ? ''
      : `\n${formatTable(
          nodes,
          [
            { head: 'NODE', cell: (node) => node.nodeId },
            { head: 'HOST', cell: (node) => node.host },
            {
              head: 'STATE',
              cell: (node) => (isRecent(node) ? paint('good', 'live') : paint('bad', 'silent')),
            },
            { head: 'LAST SIGN', cell: (node) => formatRelative(node.beatAtMs, nowMs) },
            { head: 'STARTED', cell: (node) => formatRelative(node.startedAtMs, nowMs) },
          ],
          paint,
        )}`;
  return `${lines.join('\n')}\n${table}`;
}
