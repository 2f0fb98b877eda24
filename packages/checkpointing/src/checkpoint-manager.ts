/**
 * Writing and reading the checkpoints of one run.
 * Invariant: one record is written at a time, and a record that failed leaves no trace.
 */
import { rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { createRealClock, type Clock } from '@conductor-run/clock';
import { captureGitDiff, limitsOf, type GitDiffOptions, type WorktreeMemory } from './git-diff.ts';
import { tailLines, type LogTailOptions } from './log-tail.ts';
import {
  requireId,
  silentLogger,
  silentRedactor,
  type GitOptions,
  type Logger,
  type Redactor,
} from './options.ts';
import { pruneCheckpoints, type PrunePolicy, type PruneResult } from './prune.ts';
import {
  appendRecord,
  claimSeq,
  folderName,
  readCheckpoints,
  requireRecord,
  sweepWorkFolders,
  writeRecordFile,
  type NewFile,
} from './record-store.ts';
import type {
  CheckpointOfType,
  CheckpointRecord,
  CheckpointRecordCommon,
  CheckpointType,
  GitDiffRecord,
  LogTailRecord,
  SummaryRecord,
  TestOutputRecord,
} from './record.ts';
import { redactJson } from './redact-json.ts';
import { parseTestReport, type TestOutputOptions } from './test-report.ts';

/** What a manager is made for. */
export interface CheckpointManagerOptions extends Pick<GitOptions, 'env'> {
  /** The task; letters, digits, `.`, `_`, `-`, at most 100. */
  readonly taskId: string;
  /** The step; as above. */
  readonly stepId: string;
  /** The run; as above. Part of the snapshots' ref names. */
  readonly runId: string;
  /** The run's `checkpoints/` folder, absolute; made with the first record (0700). One manager at a time writes to it. */
  readonly directory: string;
  /**
   * Where time comes from.
   *
   * @defaultValue the real clock
   */
  readonly clock?: Clock;
  /**
   * What hides secrets in everything that is text, and finds them in snapshots.
   *
   * @defaultValue nothing is hidden
   */
  readonly redactor?: Redactor;
  /**
   * Who is told of torn lines and left-out files.
   *
   * @defaultValue silence
   */
  readonly logger?: Logger;
}

/** What a summary says. */
export interface SummaryOptions {
  /** One line for people. */
  readonly summary: string;
  /** Further text. */
  readonly detail?: string;
  /** Anything `JSON.stringify` takes. */
  readonly json?: unknown;
}

/** Where a resumed run goes on. */
export interface ResumePoint {
  /** The checkpoint asked for. */
  readonly record: CheckpointRecord;
  /** The newest of each type up to it. */
  readonly latest: { readonly [Type in CheckpointType]?: CheckpointOfType<Type> };
}

/** The checkpoints of one run. Holds nothing open: there is nothing to close. */
export interface CheckpointManager {
  /** Writes a note. */
  writeSummary(options: SummaryOptions): Promise<SummaryRecord>;
  /** Keeps the last lines of a log. */
  writeLogTail(options: LogTailOptions): Promise<LogTailRecord>;
  /**
   * Captures a work tree; see {@link GitDiffOptions}.
   *
   * @throws {@link CheckpointError} with code `not-a-repository`, `not-a-worktree-root`, `bare-repository`,
   * `unsafe-worktree`, `run-directory-captured`, `unknown-base`, `secret-found`, `git-missing`, `git-timeout` or `git-failed`
   */
  writeGitDiff(options: GitDiffOptions): Promise<GitDiffRecord>;
  /**
   * Reads a test report and keeps its totals, its failures and the report itself.
   *
   * @returns `undefined` when the report is older than `notBeforeMs`; nothing is written then
   * @throws {@link CheckpointError} with code `report-unreadable`
   */
  writeTestOutput(options: TestOutputOptions): Promise<TestOutputRecord | undefined>;
  /** Every record, by `seq`; torn lines are skipped and logged. */
  list(): Promise<readonly CheckpointRecord[]>;
  /**
   * One record.
   *
   * @throws {@link CheckpointError} with code `checkpoint-not-found`
   */
  read(seq: number): Promise<CheckpointRecord>;
  /** The newest record of a type, or `undefined`. */
  latest<Type extends CheckpointType>(type: Type): Promise<CheckpointOfType<Type> | undefined>;
  /**
   * What a run needs that starts from checkpoint `seq`; later records of this manager name it in `resumedFrom`.
   *
   * @param seq - the checkpoint
   * @param from - another run's checkpoints folder, when the checkpoint is not this run's own
   * @throws {@link CheckpointError} with code `checkpoint-not-found`
   */
  resumeFrom(seq: number, from?: string): Promise<ResumePoint>;
  /** Removes records with their files and refs; see {@link PrunePolicy}. */
  prune(policy: PrunePolicy): Promise<PruneResult>;
}

/**
 * Makes the manager of one run's checkpoints. Touches nothing until its first call.
 *
 * @throws TypeError when an id or the directory is not usable
 */
export function createCheckpointManager(options: CheckpointManagerOptions): CheckpointManager {
  return new RunCheckpoints(options);
}

class RunCheckpoints implements CheckpointManager {
  readonly #options: CheckpointManagerOptions;
  readonly #clock: Clock;
  readonly #redactor: Redactor;
  readonly #logger: Logger;
  readonly #memoryByKey = new Map<string, WorktreeMemory>();
  #resumedFrom: string | undefined;
  #isSwept = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: CheckpointManagerOptions) {
    requireId('taskId', options.taskId);
    requireId('stepId', options.stepId);
    requireId('runId', options.runId);
    if (!isAbsolute(options.directory)) {
      throw new TypeError(
        `Cannot create checkpoint manager with directory "${options.directory}": expected an absolute path`,
      );
    }
    this.#options = options;
    this.#clock = options.clock ?? createRealClock();
    this.#redactor = options.redactor ?? silentRedactor;
    this.#logger = options.logger ?? silentLogger;
  }

  writeSummary(options: SummaryOptions): Promise<SummaryRecord> {
    return this.#record(async (common, write) => {
      const detail = options.detail === undefined ? undefined : this.#redactor.redact(options.detail);
      const json = options.json === undefined ? undefined : redactJson(this.#redactor, options.json);
      const files = detail === undefined ? [] : [await write(textFile('detail.txt', 'text', detail))];
      if (json !== undefined) files.push(await write(jsonFile('summary.json', json)));
      return {
        ...common,
        summary: this.#redactor.redact(options.summary),
        files,
        type: 'summary',
        ...(detail === undefined ? {} : { detail }),
        ...(json === undefined ? {} : { json }),
        replay: null,
      };
    });
  }

  writeLogTail(options: LogTailOptions): Promise<LogTailRecord> {
    const { lines, truncated } = tailLines(options, this.#redactor);
    return this.#record(async (common, write) => ({
      ...common,
      summary: `Last ${lines.length} lines of ${options.source}`,
      files: [await write(textFile('log-tail.txt', 'lines', lines.map((line) => `${line}\n`).join('')))],
      type: 'log_tail',
      source: options.source,
      lines,
      truncated,
      replay: null,
    }));
  }

  writeGitDiff(options: GitDiffOptions): Promise<GitDiffRecord> {
    const limits = limitsOf(options);
    const key = JSON.stringify([options.worktree, limits, options.includeIgnored ?? []]);
    return this.#record(async (common, _write, records) => {
      const captured = await captureGitDiff(options, {
        runId: common.runId,
        directory: common.directory,
        seq: common.seq,
        env: this.#options.env,
        clock: this.#clock,
        redactor: this.#redactor,
        previous: newestOfType(records, 'git_diff'),
        memory: this.#memoryByKey.get(key),
      });
      this.#memoryByKey.set(key, captured.memory);
      const { leftOut } = captured.body;
      if (leftOut.length > 0) {
        this.#logger.warn(
          { seq: common.seq, count: leftOut.length, first: leftOut[0] },
          'checkpoint.left-out',
        );
      }
      return { ...common, ...captured.body, summary: this.#redactor.redact(captured.body.summary) };
    });
  }

  async writeTestOutput(options: TestOutputOptions): Promise<TestOutputRecord | undefined> {
    const report = await parseTestReport(options, this.#redactor);
    if (report === undefined) return undefined;
    return this.#record(async (common, write) => ({
      ...common,
      summary: `${report.totals.failed} of ${report.totals.total} tests failed`,
      files: [await write(report.file)],
      type: 'test_output',
      format: report.format,
      totals: report.totals,
      failures: report.failures,
      truncated: report.truncated,
      replay: null,
    }));
  }

  async list(): Promise<readonly CheckpointRecord[]> {
    return (await this.#listing()).records;
  }

  async read(seq: number): Promise<CheckpointRecord> {
    return requireRecord(await this.#listing(), seq, this.#options.directory);
  }

  async latest<Type extends CheckpointType>(type: Type): Promise<CheckpointOfType<Type> | undefined> {
    return newestOfType(await this.list(), type);
  }

  async resumeFrom(seq: number, from: string = this.#options.directory): Promise<ResumePoint> {
    const listing = await readCheckpoints(from);
    const record = requireRecord(listing, seq, from);
    const upTo = listing.records.filter((candidate) => candidate.seq <= seq);
    const latest: { -readonly [Type in CheckpointType]?: CheckpointOfType<Type> } = {};
    const summary = newestOfType(upTo, 'summary');
    const logTail = newestOfType(upTo, 'log_tail');
    const gitDiff = newestOfType(upTo, 'git_diff');
    const testOutput = newestOfType(upTo, 'test_output');
    if (summary !== undefined) latest.summary = summary;
    if (logTail !== undefined) latest.log_tail = logTail;
    if (gitDiff !== undefined) latest.git_diff = gitDiff;
    if (testOutput !== undefined) latest.test_output = testOutput;
    this.#resumedFrom = record.checkpointId;
    return { record, latest };
  }

  prune(policy: PrunePolicy): Promise<PruneResult> {
    return this.#inTurn(async () => {
      const { directory, env } = this.#options;
      const result = await pruneCheckpoints(directory, policy, {
        clock: this.#clock,
        ...(env === undefined ? {} : { env }),
      });
      // What was remembered may have lost the ref that kept its objects.
      this.#memoryByKey.clear();
      return result;
    });
  }

  async #listing(): ReturnType<typeof readCheckpoints> {
    const { directory } = this.#options;
    const listing = await readCheckpoints(directory);
    if (listing.skippedLines.length > 0) {
      this.#logger.warn({ directory, lines: listing.skippedLines }, 'checkpoint.line-skipped');
    }
    return listing;
  }

  #record<Type extends CheckpointRecord>(
    build: (
      common: RecordStart,
      write: (file: NewFile) => ReturnType<typeof writeRecordFile>,
      records: readonly CheckpointRecord[],
    ) => Promise<Type>,
  ): Promise<Type> {
    return this.#inTurn(async () => {
      const { directory, taskId, stepId, runId } = this.#options;
      const { records, nextSeq } = await this.#listing();
      if (!this.#isSwept) await sweepWorkFolders(directory, records);
      this.#isSwept = true;
      const seq = claimSeq(directory, nextSeq);
      try {
        const common: RecordStart = {
          checkpointId: `${runId}-${seq}`,
          taskId,
          stepId,
          runId,
          seq,
          createdAt: new Date(this.#clock.nowMs()).toISOString(),
          ...(this.#resumedFrom === undefined ? {} : { resumedFrom: this.#resumedFrom }),
          directory,
        };
        const record = await build(common, (file) => writeRecordFile(directory, seq, file), records);
        await appendRecord(directory, record);
        return record;
      } catch (error) {
        // A line that may be there keeps its files.
        const isUndecided = error instanceof AggregateError;
        if (!isUndecided) await rm(join(directory, folderName(seq)), { recursive: true, force: true });
        throw error;
      }
    });
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const next = this.#turn.then(work, work);
    this.#turn = next.catch(() => undefined);
    return next;
  }
}

type RecordStart = Omit<CheckpointRecordCommon, 'summary' | 'files'>;

function newestOfType<Type extends CheckpointType>(
  records: readonly CheckpointRecord[],
  type: Type,
): CheckpointOfType<Type> | undefined {
  const isOfType = (record: CheckpointRecord): record is CheckpointOfType<Type> => record.type === type;
  return records.findLast(isOfType);
}

function textFile(name: string, format: string, content: string): NewFile {
  return { name, format, mediaType: 'text/plain', content };
}

function jsonFile(name: string, value: unknown): NewFile {
  return {
    name,
    format: 'json',
    mediaType: 'application/json',
    content: `${JSON.stringify(value, undefined, 2)}\n`,
  };
}
