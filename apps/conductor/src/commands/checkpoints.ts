/** `conductor checkpoints list|show|diff|verify`: what was recorded of a run. */
import {
  diffCheckpoints,
  type FileDiff,
  readCheckpoints,
  verifyCheckpoints,
} from '@conductor-run/checkpointing';
import type { Command } from 'commander';

import { parseSeq, requireCheckpoint, requireGitDiff } from '../checkpoint-selector.ts';
import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { stripControl } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import {
  checkpointDetailView,
  checkpointDiffView,
  checkpointListView,
  toCheckpointDiffView,
  toCheckpointView,
} from '../views/checkpoint-views.ts';
import { toVerifyView, verifyView } from '../views/snapshot-views.ts';
import type { CheckpointListView, CheckpointView } from '../views/types.ts';
import { addCheckpointsPruneCommand } from './checkpoints-prune.ts';
import { addBringBackCommands } from './checkpoints-restore.ts';
import { describeDiff } from './runs-diff.ts';

/** Adds `checkpoints` and its subcommands. */
export function addCheckpointsCommand(program: Command, io: CliIo, finish: (exitCode: number) => void): void {
  const checkpoints = program
    .command('checkpoints')
    .description('what was recorded of a run, and how to bring it back')
    .addHelpText(
      'after',
      '\nExamples:\n  conductor checkpoints list last\n  conductor checkpoints diff last',
    );
  addList(checkpoints, io);
  addShow(checkpoints, io);
  addDiff(checkpoints, io);
  addBringBackCommands(checkpoints, io, finish);
  addVerify(checkpoints, io, finish);
  addCheckpointsPruneCommand(checkpoints, io);
}

function addList(checkpoints: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      checkpoints
        .command('list <run>')
        .description('the checkpoints of a run; RUN is last, an id or a part of one, or a job')
        .addHelpText('after', '\nExample:\n  conductor checkpoints list last'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await readAll(context, selector);
    if (context.json) {
      context.printJson(checkpointListView, view);
      return;
    }
    const nowMs = io.clock.nowMs();
    context.print(
      formatTable(
        view.checkpoints,
        [
          { head: 'SEQ', cell: (checkpoint) => String(checkpoint.seq), align: 'right' },
          { head: 'TYPE', cell: (checkpoint) => checkpoint.type },
          { head: 'TAKEN', cell: (checkpoint) => formatRelative(checkpoint.createdAtMs, nowMs) },
          { head: 'SUMMARY', cell: (checkpoint) => stripControl(checkpoint.summary) },
        ],
        context.paint,
      ),
    );
    if (view.skippedLines.length > 0) {
      context.warn(`${context.paint('warn', 'torn')} ${view.skippedLines.length} lines could not be read\n`);
    }
  });
}

/** All checkpoints of a run, from the files here or page by page from a daemon elsewhere. */
async function readAll(context: Context, selector: string): Promise<CheckpointListView> {
  const client = remoteClient(context);
  if (client === undefined) {
    const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
    const { records, skippedLines } = await readCheckpoints(run.paths.checkpointsDir);
    const checkpoints = records.map(toCheckpointView);
    return { runId: run.paths.runId, checkpoints, skippedLines, nextCursor: null };
  }
  let view = await client.listCheckpoints(selector, { limit: PAGE });
  while (view.nextCursor !== null) {
    // By its id from here on: a word such as "last" may name another run by now.
    const next = await client.listCheckpoints(view.runId, { limit: PAGE, cursor: view.nextCursor });
    view = { ...next, checkpoints: [...view.checkpoints, ...next.checkpoints] };
  }
  return view;
}

function addShow(checkpoints: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      checkpoints
        .command('show <run> [seq]')
        .description('one checkpoint, the newest without a number')
        .addHelpText('after', '\nExample:\n  conductor checkpoints show last 3'),
    ),
  ).action(async (selector: string, seq: string | undefined, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await readAll(context, selector);
    const checkpoint = requireCheckpoint(view.checkpoints, view.runId, parseSeq(seq));
    if (context.json) context.printJson(checkpointDetailView, { runId: view.runId, checkpoint });
    else context.print(describeCheckpoint(context, checkpoint));
  });
}

function addDiff(checkpoints: Command, io: CliIo): void {
  withCommonOptions(
    checkpoints
      .command('diff <run> <from> [to]')
      .description('files that differ between two git checkpoints of a run; FROM may be base')
      .option('--patch', 'with the text of the changes')
      .addHelpText('after', '\nExample:\n  conductor checkpoints diff last 3 7 --patch'),
  ).action(async (selector: string, from: string, to: string | undefined, options: CliOptions) => {
    const { patch, ...common } = options;
    const context = createReadingContext(io, common);
    const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
    const { records } = await readCheckpoints(run.paths.checkpointsDir);
    const target = requireGitDiff(records, run.paths.runId, parseSeq(to));
    const start = from === 'base' ? 'base' : requireGitDiff(records, run.paths.runId, parseSeq(from));
    const diff = await diffCheckpoints(start, target, { clock: io.clock });
    if (context.json) {
      const fromSeq = start === 'base' ? null : start.seq;
      const view = toCheckpointDiffView(run.paths.runId, [fromSeq, target.seq], diff);
      context.printJson(checkpointDiffView, view);
      return;
    }
    for (const file of diff.files) {
      context.print(describeFile(context, file));
      if (patch === true) io.stdout.write(await diff.patch(file));
    }
    if (diff.files.length === 0) context.print('no difference\n');
  });
}

function addVerify(checkpoints: Command, io: CliIo, finish: (exitCode: number) => void): void {
  withCommonOptions(
    checkpoints
      .command('verify <run>')
      .description('recompute every hash and bring every snapshot back into a scratch index')
      .option('--no-replay', 'only the hashes; needs no repository')
      .addHelpText('after', '\nExample:\n  conductor checkpoints verify last'),
  ).action(async (selector: string, options: CliOptions) => {
    const { replay, ...common } = options;
    const context = createReadingContext(io, common);
    const run = await selectRun(context.config.settings.runsDir, selector, context.io.clock);
    const report = await verifyCheckpoints(run.paths.checkpointsDir, {
      replay: replay !== false,
      clock: io.clock,
    });
    // A line that cannot be read may have been a record: nobody can say any more that all is well.
    const isWell = report.problems.length === 0 && report.skippedLines.length === 0;
    if (!isWell) finish(EXIT.failed);
    if (context.json) {
      context.printJson(verifyView, toVerifyView(run.paths.runId, report));
      return;
    }
    for (const problem of report.problems) {
      context.print(
        `${context.paint('bad', problem.problem)} checkpoint ${problem.seq}: ${problem.detail}\n`,
      );
    }
    for (const line of report.skippedLines) {
      context.print(
        `${context.paint('bad', 'line-unreadable')} line ${line} of the index: torn by a crash, or damaged\n`,
      );
    }
    if (report.unfinished.length > 0) {
      context.warn(`${context.paint('warn', 'without a record')} ${report.unfinished.join(', ')}\n`);
    }
    const tone = isWell ? 'good' : 'bad';
    context.print(
      `${context.paint(tone, `${report.verified.length} checkpoints verified, ${report.problems.length + report.skippedLines.length} problems`)}\n`,
    );
  });
}

function describeCheckpoint(context: Context, checkpoint: CheckpointView): string {
  const takenAt = formatInstant(checkpoint.createdAtMs);
  const head = `${checkpoint.checkpointId}  ${checkpoint.type}  ${takenAt}\n${stripControl(checkpoint.summary)}\n`;
  const files = checkpoint.files.map(
    (file) => `  ${file.fileName}  ${file.bytes} bytes  ${file.sha256.slice(0, 12)}\n`,
  );
  return `${head}${describeContent(context, checkpoint)}${files.join('')}`;
}

function describeContent(context: Context, checkpoint: CheckpointView): string {
  switch (checkpoint.type) {
    case 'summary':
      return checkpoint.detail === null ? '' : `${stripControl(checkpoint.detail)}\n`;
    case 'log_tail':
      return checkpoint.lines.map((line) => `  | ${stripControl(line)}\n`).join('');
    case 'git_diff':
      return describeDiff(context, checkpoint);
    case 'test_output': {
      const { total, passed, failed, skipped } = checkpoint;
      const failures = checkpoint.failures.map((failure) => `  ${stripControl(failure.name)}\n`);
      return `${total} tests: ${passed} passed, ${failed} failed, ${skipped} skipped\n${failures.join('')}`;
    }
  }
}

function describeFile(context: Context, file: FileDiff): string {
  const counts = file.insertions === null ? 'binary' : `+${file.insertions} -${file.deletions ?? 0}`;
  return `${context.paint('strong', file.status.padEnd(8))} ${stripControl(file.path)}  ${context.paint('dim', counts)}\n`;
}

const PAGE = 1_000;
