/** `conductor runs diff RUN`: the patch of a run's last git checkpoint, as `git apply` takes it. */
import { pipeline } from 'node:stream/promises';

import { type GitDiffRecord, readCheckpoints } from '@conductor-run/checkpointing';
import type { Command } from 'commander';

import { requireGitDiff } from '../checkpoint-selector.ts';
import type { ConductorClient } from '../client.ts';
import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import type { CliIo } from '../io.ts';
import { openPatch } from '../record/runs.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { stripControl } from '../terminal/style.ts';
import { runDiffView, toGitDiffView } from '../views/checkpoint-views.ts';
import type { GitDiffView, RunDiffView } from '../views/types.ts';

/** Adds `runs diff`. */
export function addRunsDiffCommand(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('diff <run>')
        .description('what a run changed in its work tree: a patch that git apply takes')
        .option('--stat', 'only how much changed, and what could not be captured')
        .addHelpText('after', '\nExample:\n  conductor runs diff last | git apply --index'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const { stat, ...common } = options;
    const context = createContext(io, common);
    const client = remoteClient(context);
    const found = client === undefined ? await findHere(context, selector) : findThere(client, selector);
    if (context.json) context.printJson(runDiffView, await found.view());
    else if (stat === true) context.print(describeDiff(context, (await found.view()).checkpoint));
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
  const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
  const { records } = await readCheckpoints(run.paths.checkpointsDir);
  const record = requireGitDiff(records, run.paths.runId, undefined);
  const others = records.filter((each) => each.type === 'git_diff');
  return {
    view: async () => ({ runId: run.paths.runId, checkpoint: toGitDiffView(record) }),
    copyPatch: () => copyPatch(context, record, others),
  };
}

function findThere(client: ConductorClient, selector: string): FoundDiff {
  return {
    view: () => client.diffRun(selector),
    copyPatch: async ({ io }) => void io.stdout.write(await client.readPatch(selector)),
  };
}

/** The size of a diff and what it leaves out, for people. */
export function describeDiff(context: Context, view: GitDiffView): string {
  const { filesChanged, insertions, deletions } = view.diffStat;
  const leftOut = view.leftOut.map((left) => `  left out: ${stripControl(left.path)} (${left.reason})\n`);
  return `${filesChanged} files changed, ${insertions} insertions, ${deletions} deletions since ${view.baseCommit ?? 'the empty tree'}\n${context.paint('dim', `tree ${view.tree}`)}\n${leftOut.join('')}`;
}

/** An unchanged record has no files of its own; those of the record it equals stand for it. */
async function copyPatch(
  context: Context,
  record: GitDiffRecord,
  records: readonly GitDiffRecord[],
): Promise<void> {
  const source = openPatch(record, records);
  if (source !== undefined) await pipeline(source, context.io.stdout, { end: false });
}
