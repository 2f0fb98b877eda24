/** `conductor nodes` and `conductor leader`: who lives, who leads, who led before. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { formatDuration } from '../duration.ts';
import type { CliIo } from '../io.ts';
import { readLeader, readNodes } from '../record/state.ts';
import { fromRecord } from '../remote.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { leaderView, nodeListView } from '../views/node-views.ts';
import type { LeaderView } from '../views/types.ts';
import { describeNodeConfigs, formatNodes } from './status.ts';

/** Adds `nodes`. */
export function addNodesCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('nodes')
        .description('every daemon that has given a sign of life, and how busy it is')
        .addHelpText('after', '\nExample:\n  conductor nodes --json'),
    ),
  ).action(async (options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await fromRecord(context, { here: readNodes, there: (client) => client.nodes() });
    if (context.json) context.printJson(nodeListView, view);
    else if (view.nodes.length === 0)
      context.print('no daemon is up (conductor leader shows who led, conductor start runs one)\n');
    else {
      context.print(formatNodes(context, view.nodes, io.clock.nowMs()));
      context.print(describeNodeConfigs(context, view.nodes));
    }
  });
}

/** Adds `leader`. */
export function addLeaderCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('leader')
        .description('who leads, until when, and who led before')
        .addHelpText('after', '\nExample:\n  conductor leader'),
    ),
  ).action(async (options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await fromRecord(context, { here: readLeader, there: (client) => client.leader() });
    if (context.json) context.printJson(leaderView, view);
    else context.print(describe(context, view));
  });
}

function describe(context: Context, { leadership, terms }: LeaderView): string {
  const { paint, io } = context;
  const nowMs = io.clock.nowMs();
  const head =
    leadership?.isHeld === true
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
