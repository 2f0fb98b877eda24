/** `conductor runs events RUN`: what happened to a run. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import type { CliIo } from '../io.ts';
import { readRunEvents } from '../record/runs.ts';
import { remoteClient } from '../remote.ts';
import { selectRun } from '../run-selector.ts';
import { stripControl } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant } from '../terminal/time.ts';
import { runEventListView } from '../views/run-views.ts';
import type { RunEventListView, RunEventView } from '../views/types.ts';

/** Adds `runs events`. */
export function addRunsEventsCommand(runs: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      runs
        .command('events <run>')
        .description('the lifecycle events of a run')
        .addHelpText('after', '\nExample:\n  conductor runs events last --json'),
    ),
  ).action(async (selector: string, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await allEvents(await createReader(context, selector));
    if (context.json) {
      context.printJson(runEventListView, view);
      return;
    }
    context.print(
      formatTable(
        view.events,
        [
          { head: 'SEQ', cell: (event) => String(event.seq), align: 'right' },
          { head: 'AT', cell: (event) => formatInstant(event.createdAtMs) },
          { head: 'EVENT', cell: (event) => stripControl(event.type) },
          { head: 'MESSAGE', cell: (event) => stripControl(event.message) },
        ],
        context.paint,
      ),
    );
  });
}

type ReadPage = (page: { readonly limit: number; readonly cursor?: string }) => Promise<RunEventListView>;

async function createReader(context: Context, selector: string): Promise<ReadPage> {
  const client = remoteClient(context);
  if (client !== undefined) return (page) => client.listRunEvents(selector, page);
  const { clock } = context.io;
  const run = await selectRun(context.config.settings.runsDir, selector, clock);
  return (page) => readRunEvents(run, clock, page);
}

async function allEvents(read: ReadPage): Promise<RunEventListView> {
  const events: RunEventView[] = [];
  for (let cursor: string | null = null; ;) {
    const page: RunEventListView = await read({ limit: 1_000, ...(cursor !== null && { cursor }) });
    events.push(...page.events);
    cursor = page.nextCursor;
    if (cursor === null) return { runId: page.runId, events, nextCursor: null };
  }
}
