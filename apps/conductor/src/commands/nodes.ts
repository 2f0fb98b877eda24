/** `conductor nodes` and `conductor leader`: who lives, who leads, who led before. Reads the store. */
import type { Leadership, LeadershipTerm } from '@conductor-run/job-store';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { LEADERSHIP } from '../daemon/daemon.ts';
import { formatDuration } from '../duration.ts';
import type { CliIo } from '../io.ts';
import { toNodeState } from '../node-state.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { withStore } from '../wire.ts';

/** Adds `nodes`. */
export function addNodesCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('nodes')
      .description('every daemon that has given a sign of life, and how busy it is')
      .addHelpText('after', '\nExample:\n  conductor nodes --json'),
  ).action(async (options: CliOptions) => {
    const context = createContext(io, options);
    const nowMs = io.clock.nowMs();
    const records = await withStore(context, (store) => store.nodes());
    const nodes = records.map((node) => toNodeState(node, nowMs));
    if (context.json) {
      context.printJson({ nodes });
      return;
    }
    if (nodes.length === 0) {
      context.print('no daemon has been up (conductor start runs one)\n');
      return;
    }
    const { paint } = context;
    context.print(
      formatTable(
        nodes,
        [
          { head: 'NODE', cell: (node) => node.nodeId },
          { head: 'HOST', cell: (node) => node.host },
          { head: 'STATE', cell: (node) => (node.isLive ? paint('good', 'live') : paint('bad', 'silent')) },
          { head: 'ROLE', cell: (node) => node.role ?? '-' },
          {
            head: 'RUNNING',
            cell: (node) => `${node.running ?? '-'}/${node.maxParallel ?? '-'}`,
            align: 'right',
          },
          { head: 'LAST SIGN', cell: (node) => formatRelative(node.beatAtMs, nowMs) },
          { head: 'UP SINCE', cell: (node) => formatRelative(node.startedAtMs, nowMs) },
        ],
        paint,
      ),
    );
  });
}

/** Adds `leader`. */
export function addLeaderCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('leader')
      .description('who leads, until when, and who led before')
      .addHelpText('after', '\nExample:\n  conductor leader'),
  ).action(async (options: CliOptions) => {
    const context = createContext(io, options);
    const { leadership, terms } = await withStore(context, async (store) => ({
      leadership: await store.leadership(LEADERSHIP),
      terms: await store.leadershipTerms(LEADERSHIP, MAX_TERMS),
    }));
    if (context.json) context.printJson({ leadership: leadership ?? null, terms });
    else context.print(describe(context, leadership, terms));
  });
}

function describe(
  context: Context,
  leadership: Leadership | undefined,
  terms: readonly LeadershipTerm[],
): string {
  const { paint, io } = context;
  const nowMs = io.clock.nowMs();
  const leads = leadership?.holderId !== undefined && leadership.leaseExpiresAtMs > nowMs;
  const head = leads
    ? `${paint('good', leadership.holderId ?? '')} leads, term ${leadership.term}, renewed ${formatRelative(leadership.renewedAtMs, nowMs)}, lease ends ${formatRelative(leadership.leaseExpiresAtMs, nowMs)} unless renewed\n`
    : `${paint('warn', 'nobody leads')} (conductor start runs a daemon)\n`;
  if (terms.length === 0) return head;
  const table = formatTable(
    terms,
    [
      { head: 'TERM', cell: (term) => String(term.term), align: 'right' },
      { head: 'LEADER', cell: (term) => term.holderId },
      { head: 'FROM', cell: (term) => formatInstant(term.acquiredAtMs) },
      { head: 'FOR', cell: (term) => formatDuration((term.endedAtMs ?? nowMs) - term.acquiredAtMs) },
      { head: 'ENDED BY', cell: (term) => term.endedBy ?? '-' },
    ],
    paint,
  );
  return `${head}\n${table}`;
}

const MAX_TERMS = 10;
