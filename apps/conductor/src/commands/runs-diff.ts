/** `conductor runs diff RUN`: what a run changed since it began, as a patch that `git apply` takes. */
import { pipeline } from 'node:stream/promises';

import type { Command } from 'commander';

import type { ConductorClient } from '../client.ts';
import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import type { CliIo } from '../io.ts';
import { readRunChanges } from '../record/run-changes.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { stripControl } from '../terminal/style.ts';
import { runDiffView } from '../views/checkpoint-views.ts';
import type { DiffStatView, GitDiffView, RunDiffView } from '../views/types.ts';

/** Adds `runs diff`. */
export function addRunsDiffCommand(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('diff <run>')
        .description('what a run changed in its work tree: a patch that git apply takes')
        .option('--stat', 'only which files changed how much, and what could not be captured')
        .addHelpText('after', '\nExample:\n  conductor runs diff last | git apply --index'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const { stat, ...common } = options;
    const context = createReadingContext(io, common);
    const client = remoteClient(context);
    const found = client === undefined ? await findHere(context, selector) : findThere(client, selector);
    if (context.json) context.printJson(runDiffView, await found.view());
    else if (stat === true) context.print(describeChanges(context, await found.view()));
    else await found.copyPatch(context);
  });
}

/** What a run changed, wherever its record is. */
interface FoundDiff {
  view(): Promise<RunDiffView>;
  /** Writes the patch to the standard output. */
  copyPatch(context: Context): Promise<void>;
}

async function findHere(context: Context, selector: string): Promise<FoundDiff> {
  const { settings } = context.config;
  const changes = await readRunChanges(
    await selectRun(settings.runsDir, selector, context.io.clock),
    context.io.clock,
  );
  return {
    view: () => changes.view(),
    copyPatch: async ({ io }) => {
      await pipeline(await changes.openPatch(), io.stdout, { end: false });
    },
  };
}

function findThere(client: ConductorClient, selector: string): FoundDiff {
  return {
    view: () => client.diffRun(selector),
    copyPatch: async ({ io }) => void io.stdout.write(await client.readPatch(selector)),
  };
}

/** What a run changed, for people. */
function describeChanges(context: Context, { startSeq, diffStat, files, checkpoint }: RunDiffView): string {
  const since = startSeq === null ? (checkpoint.baseCommit ?? 'the empty tree') : 'the run began';
  const lines = (files ?? []).map(
    ({ path, status, insertions, deletions }) =>
      `  ${status}  ${stripControl(path)}  ${context.paint('dim', insertions === null ? 'binary' : `+${insertions} -${deletions ?? 0}`)}\n`,
  );
  return `${describeStat(diffStat)} since ${since}\n${lines.join('')}${describeLeftOut(checkpoint)}`;
}

/** The size of a checkpoint and what it leaves out, for people. */
export function describeDiff(context: Context, view: GitDiffView): string {
  return `${describeStat(view.diffStat)} since ${view.baseCommit ?? 'the empty tree'}\n${context.paint('dim', `tree ${view.tree}`)}\n${describeLeftOut(view)}`;
}

function describeStat({ filesChanged, insertions, deletions }: DiffStatView): string {
  return `${counted(filesChanged, 'file')} changed, ${counted(insertions, 'insertion')}, ${counted(deletions, 'deletion')}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function describeLeftOut({ leftOut }: GitDiffView): string {
  return leftOut.map((left) => `  left out: ${stripControl(left.path)} (${left.reason})\n`).join('');
}
