/** `conductor status`: who leads, who lives, what runs. Asks the daemon here; without one it reads the store and says so. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import type { CliIo } from '../io.ts';
import { readStatus } from '../record/state.ts';
import { fromLocalDaemon, remoteClient } from '../remote.ts';
import { describeRestart } from '../terminal/reload.ts';
import { type Paint, stripControl } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatRelative } from '../terminal/time.ts';
import { statusView } from '../views/node-views.ts';
import type { KindStatsView, LeadershipView, NodeView, StatusView } from '../views/types.ts';
import { withStoreThatIsThere } from '../wire.ts';

/** Adds `status`. */
export function addStatusCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('status')
        .description('nodes, leader, jobs by state, and what the daemon is made of')
        .addHelpText(
          'after',
          '\nExamples:\n  conductor status --json\n  CONDUCTOR_SHARED_TOKEN=… conductor status --api http://build-box:7420',
        ),
    ),
  ).action(async (options: CliOptions) => {
    const context = createReadingContext(io, options);
    const { view, note } = await findStatus(context);
    if (context.json) {
      context.printJson(statusView, view);
      return;
    }
    context.print(describe(context, view));
    if (note !== undefined) context.print(`${context.paint('dim', note)}\n`);
  });
}

/** The daemon knows best; when none answers, the store says what was. */
async function findStatus(
  context: Context,
): Promise<{ readonly view: StatusView; readonly note: string | undefined }> {
  const client = remoteClient(context);
  if (client !== undefined) return { view: await client.status(), note: undefined };
  const answer = await fromLocalDaemon(context, (local) => local.status());
  if (answer.view !== undefined) return { view: answer.view, note: undefined };
  const { config, io } = context;
  const view = await withStoreThatIsThere(context, (store) =>
    readStatus({ config, store, clock: io.clock }, null),
  );
  const did = answer.isRefused ? 'refused' : 'did not answer';
  const where = answer.url === undefined ? '' : `the daemon at ${answer.url} ${did}, `;
  return { view, note: `read from the store: ${where}${answer.why}` };
}

function describe(context: Context, status: StatusView): string {
  const { paint } = context;
  const nowMs = context.io.clock.nowMs();
  const { leadership, kinds, nodes, answeredBy } = status;
  const total = (pick: (kind: KindStatsView) => number): number =>
    kinds.reduce((sum, kind) => sum + pick(kind), 0);
  const lines = [
    `${paint('dim', 'store  ')} ${status.store}`,
    `${paint('dim', 'leader ')} ${describeLeader(context, leadership, nodes, nowMs)}`,
    `${paint('dim', 'jobs   ')} ${total((kind) => kind.running)} running, ${total((kind) => kind.ready)} ready, ${total((kind) => kind.waiting)} waiting, ${total((kind) => kind.done)} done, ${total((kind) => kind.exhausted)} out of retries`,
  ];
  if (status.isPaused) lines.push(paint('warn', 'everything is paused'));
  const answering = nodes.find((node) => node.nodeId === answeredBy);
  const parts = [
    `${lines.join('\n')}\n`,
    nodes.length === 0 ? '' : `\n${formatNodes(context, nodes, nowMs)}${describeNodeConfigs(context, nodes)}`,
    answering === undefined ? '' : `\n${describeChecklist(context, answering)}`,
  ];
  return parts.join('');
}

function describeLeader(
  { paint }: Context,
  leadership: LeadershipView | null,
  nodes: readonly NodeView[],
  nowMs: number,
): string {
  if (leadership === null || !leadership.isHeld) {
    return paint('warn', 'nobody (conductor start runs a daemon)');
  }
  const { holderId, term, renewedAtMs } = leadership;
  const words = `${holderId ?? ''}, term ${term}, renewed ${formatRelative(renewedAtMs, nowMs)}`;
  // A holder is a node and, behind the last slash, one life of it.
  const leading = holderId?.slice(0, Math.max(0, holderId.lastIndexOf('/')));
  const isSilent = nodes.some((node) => node.nodeId === leading && !node.isLive);
  return isSilent ? paint('warn', `${words}; it is silent, and its lease runs out`) : paint('good', words);
}

function describeChecklist({ paint }: Context, node: NodeView): string {
  const items = node.checklist.map(
    ({ name, detail }) =>
      `  ${paint('good', '✓')} ${name}${detail === null ? '' : `  ${paint('dim', detail)}`}\n`,
  );
  return `${paint('dim', `${node.nodeId} is made of`)}\n${items.join('')}`;
}

function formatState(paint: Paint, { isLive, isDraining }: NodeView): string {
  if (!isLive) return paint('bad', 'silent');
  return isDraining ? paint('warn', 'draining') : paint('good', 'live');
}

/** What there is to say about the configs of live daemons; empty when each works with its file as it is. */
export function describeNodeConfigs({ paint }: Context, nodes: readonly NodeView[]): string {
  return nodes
    .flatMap(({ nodeId, isLive, config }) => {
      if (!isLive || config === null) return [];
      const { isCurrent, restartFor, problem } = config;
      return [
        ...(problem === null ? [] : [`refused its config, and goes on with the one before: ${problem}`]),
        ...(isCurrent === false ? ['runs an older config: conductor reload'] : []),
        ...(restartFor.length === 0 ? [] : [describeRestart(restartFor)]),
      ].map((what) => `${paint('warn', `${nodeId}: ${stripControl(what)}`)}\n`);
    })
    .join('');
}

/** Daemons as a table. */
export function formatNodes({ paint }: Context, nodes: readonly NodeView[], nowMs: number): string {
  return formatTable(
    nodes,
    [
      { head: 'NODE', cell: (node) => node.nodeId },
      { head: 'HOST', cell: (node) => node.host },
      { head: 'STATE', cell: (node) => formatState(paint, node) },
      { head: 'ROLE', cell: (node) => node.role ?? '-' },
      {
        head: 'RUNNING',
        cell: (node) => `${node.running ?? '-'}/${node.maxParallel ?? '-'}`,
        align: 'right',
      },
      { head: 'LAST SIGN', cell: (node) => formatRelative(node.beatAtMs, nowMs) },
      { head: 'UP SINCE', cell: (node) => formatRelative(node.startedAtMs, nowMs) },
      { head: 'API', cell: (node) => node.apiUrl ?? '-' },
    ],
    paint,
  );
}
