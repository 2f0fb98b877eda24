/** `conductor store …`: the store as a whole. */
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { open as openFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import type { Command } from 'commander';

import {
  type CliOptions,
  createContext,
  createReadingContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { parseDuration } from '../duration.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import { readStoreStats } from '../record/state.ts';
import { fromRecord } from '../remote.ts';
import { plural } from '../terminal/plural.ts';
import { formatTable } from '../terminal/table.ts';
import { formatRelative } from '../terminal/time.ts';
import { storeStatsView } from '../views/node-views.ts';
import { backupView, exportView, importView, migrateView, pruneStoreView } from '../views/upkeep-views.ts';
import { storePath, withStore } from '../wire.ts';

/** Adds `store` and its subcommands. */
export function addStoreCommand(program: Command, io: CliIo): void {
  const store = program
    .command('store')
    .description('the job store as a whole')
    .addHelpText('after', '\nExamples:\n  conductor store\n  conductor store backup conductor-backup.db');
  addStats(store, io);
  addMigrate(store, io);
  addBackup(store, io);
  addExport(store, io);
  addImport(store, io);
  addPrune(store, io);
}

function addStats(store: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      store
        .command('stats', { isDefault: true })
        .description('how many jobs stand where')
        .addHelpText('after', '\nExample:\n  conductor store stats --json'),
    ),
  ).action(async (options: CliOptions) => {
    const context = createReadingContext(io, options);
    const stats = await fromRecord(context, {
      here: readStoreStats,
      there: (client) => client.storeStats(),
    });
    if (context.json) {
      context.printJson(storeStatsView, stats);
      return;
    }
    context.print(`${stats.path}${stats.isPaused ? context.paint('warn', '  paused') : ''}\n`);
    if (stats.kinds.length === 0) {
      context.print('no jobs\n');
      return;
    }
    const nowMs = io.clock.nowMs();
    const right = 'right' as const;
    context.print(
      formatTable(
        stats.kinds,
        [
          { head: 'JOB', cell: (kind) => `${kind.job}${kind.isPaused ? ' (paused)' : ''}` },
          { head: 'READY', cell: (kind) => String(kind.ready), align: right },
          { head: 'WAITING', cell: (kind) => String(kind.waiting), align: right },
          { head: 'RUNNING', cell: (kind) => String(kind.running), align: right },
          { head: 'DONE', cell: (kind) => String(kind.done), align: right },
          { head: 'EXHAUSTED', cell: (kind) => String(kind.exhausted), align: right },
          { head: 'CANCELLED', cell: (kind) => String(kind.cancelled), align: right },
          {
            head: 'OLDEST READY',
            cell: (kind) => formatRelative(kind.oldestReadyDueAtMs, nowMs),
          },
        ],
        context.paint,
      ),
    );
  });
}

function addMigrate(store: Command, io: CliIo): void {
  withCommonOptions(
    store
      .command('migrate')
      .description('bring the schema up to date; opening the store does the same')
      .addHelpText('after', '\nExample:\n  conductor store migrate'),
  ).action(async (options: CliOptions) => {
    const context = createContext(io, options);
    await withStore(context, async () => undefined);
    if (context.json) context.printJson(migrateView, { path: storePath(context), isCurrent: true });
    else context.print(`${storePath(context)}: schema is current\n`);
  });
}

function addBackup(store: Command, io: CliIo): void {
  withCommonOptions(
    store
      .command('backup <file>')
      .description('copy the store while it is in use')
      .addHelpText('after', '\nExample:\n  conductor store backup conductor-backup.db'),
  ).action(async (file: string, options: CliOptions) => {
    const context = createContext(io, options);
    const target = path.resolve(io.cwd, file);
    await requireReplaceable(target);
    await withStore(context, (open) => open.backup(target));
    if (context.json) context.printJson(backupView, { path: target });
    else context.print(`${target}\n`);
  });
}

/** A backup takes the place of the one before; nothing else is overwritten. */
async function requireReplaceable(target: string): Promise<void> {
  if (!existsSync(target)) return;
  await using file = await openFile(target, 'r');
  const { buffer } = await file.read(Buffer.alloc(SQLITE_MAGIC.length), 0, SQLITE_MAGIC.length, 0);
  if (buffer.toString('latin1') === SQLITE_MAGIC) return;
  throw new ConductorError(
    'usage',
    `Cannot write "${target}": it exists already and is no backup, expected no file here or an earlier backup`,
  );
}

/** The first bytes of every SQLite file (sqlite.org/fileformat.html, 1.3.1). */
const SQLITE_MAGIC = 'SQLite format 3\0';

function addExport(store: Command, io: CliIo): void {
  withCommonOptions(
    store
      .command('export <file>')
      .description('write every record as lines of JSON, for another store of either engine')
      .addHelpText('after', '\nExample:\n  conductor store export jobs.ndjson'),
  ).action(async (file: string, options: CliOptions) => {
    const context = createContext(io, options);
    const target = path.resolve(io.cwd, file);
    if (existsSync(target)) {
      throw new ConductorError('usage', `Cannot write "${target}": it exists already, expected no file here`);
    }
    const records = await withStore(context, (open) => writeExport(open.exportLines(), target));
    if (context.json) context.printJson(exportView, { path: target, lines: records });
    else context.print(`${target}: ${records} lines\n`);
  });
}

/** The lines are under `target` once all of them are on disk; until then under its name with `.part`. */
async function writeExport(lines: AsyncIterable<string>, target: string): Promise<number> {
  const part = `${target}.part`;
  let count = 0;
  const counted = async function* (): AsyncGenerator<string> {
    for await (const line of lines) {
      count += 1;
      yield `${line}\n`;
    }
  };
  // One that was killed left it: not ours to keep, and perhaps readable by others.
  await rm(part, { force: true });
  try {
    await pipeline(
      Readable.from(counted()),
      createWriteStream(part, { flags: 'wx', mode: 0o600, flush: true }),
    );
    await rename(part, target);
  } finally {
    await rm(part, { force: true });
  }
  await syncDirectory(path.dirname(target));
  return count;
}

async function syncDirectory(dir: string): Promise<void> {
  // Directories cannot be synced on Windows, where a rename needs no such help.
  if (process.platform === 'win32') return;
  await using file = await openFile(dir, 'r');
  await file.sync();
}

function addImport(store: Command, io: CliIo): void {
  withCommonOptions(
    store
      .command('import <file>')
      .description('take in what export wrote, into a store without jobs')
      .addHelpText('after', '\nExample:\n  conductor store import jobs.ndjson --store sqlite:new.db'),
  ).action(async (file: string, options: CliOptions) => {
    const context = createContext(io, options);
    const records = await withStore(context, (open) => open.importLines(linesOf(path.resolve(io.cwd, file))));
    if (context.json) context.printJson(importView, { path: storePath(context), records });
    else context.print(`${storePath(context)}: ${records} records\n`);
  });
}

/** Opens the file when the first line is asked for: what readline reads before that is lost. */
async function* linesOf(file: string): AsyncGenerator<string> {
  yield* createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
}

function addPrune(store: Command, io: CliIo): void {
  withCommonOptions(
    store
      .command('prune')
      .description('forget attempts that ended long ago, and with --jobs the jobs they belong to')
      .requiredOption('--max-age <duration>', 'ended longer ago than this, such as 90d')
      .option('--jobs', 'also the jobs; their watermarks go with them')
      .addHelpText('after', '\nExample:\n  conductor store prune --max-age 90d'),
  ).action(async (options: CliOptions) => {
    const { maxAge, jobs, ...common } = options;
    const context = createContext(io, common);
    const ageMs = parseDuration(String(maxAge));
    const nowMs = io.clock.nowMs();
    if (ageMs === undefined || ageMs > nowMs) {
      throw new ConductorError(
        'usage',
        `Cannot use --max-age "${String(maxAge)}": expected a duration such as 90d that does not reach back beyond 1970`,
      );
    }
    const result = await withStore(context, (open) =>
      open.prune({ finishedBeforeMs: nowMs - ageMs, jobs: jobs === true }),
    );
    if (context.json) context.printJson(pruneStoreView, result);
    else context.print(`forgot ${plural(result.attempts, 'attempt')} and ${plural(result.jobs, 'job')}\n`);
  });
}
