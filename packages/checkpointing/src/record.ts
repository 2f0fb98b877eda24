/** The shapes a checkpoint record has on disk and in memory. Invariant: what an index line names exists, complete, before the line does. */

/** What a checkpoint holds. */
export type CheckpointType = 'summary' | 'log_tail' | 'git_diff' | 'test_output';

/** One file of a record. */
export interface CheckpointFile {
  /** Relative to the checkpoints folder, with `/`. */
  readonly fileName: string;
  /** What it is: `text`, `json`, `lines`, `porcelain-v2-z`, `git-patch`, `junit`, `tap`, `vitest-json`. */
  readonly format: string;
  /** Its media type. */
  readonly mediaType: string;
  /** Its size in bytes. */
  readonly bytes: number;
  /** SHA-256 of its bytes, lower-case hex. */
  readonly sha256: string;
}

/** What every record has. */
export interface CheckpointRecordCommon {
  /** `<runId>-<seq>`. */
  readonly checkpointId: string;
  /** The task the run belongs to. */
  readonly taskId: string;
  /** The step the run executes. */
  readonly stepId: string;
  /** The run. */
  readonly runId: string;
  /** From 1, never used twice in a run, also not after a crash or a prune. */
  readonly seq: number;
  /** One line for people. */
  readonly summary: string;
  /** When it was taken: ISO 8601, UTC, with milliseconds. */
  readonly createdAt: string;
  /** The checkpoint the run started from, when it was resumed. */
  readonly resumedFrom?: string;
  /** The files that belong to it. */
  readonly files: readonly CheckpointFile[];
  /** The checkpoints folder it was read from, absolute; not stored. */
  readonly directory: string;
}

/** A note. */
export interface SummaryRecord extends CheckpointRecordCommon {
  /** Discriminates the record. */
  readonly type: 'summary';
  /** Further text; absent when none was given. */
  readonly detail?: string;
  /** Anything JSON can hold; absent when none was given. */
  readonly json?: unknown;
  /** Nothing to replay. */
  readonly replay: null;
}

/** Where the lines of a log tail come from. */
export type LogTailSource = 'worker' | 'stdout' | 'stderr' | 'combined';

/** The last lines of a log. */
export interface LogTailRecord extends CheckpointRecordCommon {
  /** Discriminates the record. */
  readonly type: 'log_tail';
  /** The log. */
  readonly source: LogTailSource;
  /** The lines, oldest first, without line ends. */
  readonly lines: readonly string[];
  /** True when the log has more than these lines, or a line was cut. */
  readonly truncated: boolean;
  /** Nothing to replay. */
  readonly replay: null;
}

/** A path as a record shows it. */
export interface RecordedPath {
  /** The path relative to the top of the work tree, with `/`; bytes that are not UTF-8 appear as U+FFFD. */
  readonly path: string;
  /** The exact bytes in base64; present only when they are not valid UTF-8. */
  readonly pathBase64?: string;
}

/** Why a path was not captured. */
export type LeftOutReason =
  | 'too-large'
  | 'total-too-large'
  | 'too-many-files'
  | 'nested-repository'
  | 'submodule-changed'
  | 'special-file'
  | 'unreadable'
  | 'filtered'
  | 'refused-name';

/** A path the snapshot does not hold as it is on disk. A tracked one is kept as the base has it. */
export interface LeftOutPath extends RecordedPath {
  /** Why. */
  readonly reason: LeftOutReason;
  /** Its size, where that is the reason. */
  readonly bytes?: number;
  /** SHA-256 of the path's exact bytes; present only when `path` is redacted, so that it is known again all the same. */
  readonly pathSha256?: string;
}

/** How to bring a snapshot back by hand. */
export interface ReplayRecipe {
  /** The only one there is. */
  readonly strategy: 'git_apply_binary';
  /** Arguments of git, run in a checkout of the base; the patch follows. */
  readonly args: readonly string[];
  /** The base commit, or `null` for the empty tree. */
  readonly baseRef: string | null;
  /** What `git write-tree` says afterwards. */
  readonly expectTree: string;
}

/** How much a snapshot differs from its base. */
export interface DiffStat {
  /** Files that differ. */
  readonly filesChanged: number;
  /** Lines added; binary files count none. */
  readonly insertions: number;
  /** Lines removed; binary files count none. */
  readonly deletions: number;
}

/** What the index held, when it was asked for. */
export interface IndexSnapshot {
  /** The exact tree of the index; `null` when the index was unmerged and has none. */
  readonly tree: string | null;
}

/** An exact copy of a work tree. */
export interface GitDiffRecord extends CheckpointRecordCommon {
  /** Discriminates the record. */
  readonly type: 'git_diff';
  /** The top of the captured work tree, absolute. */
  readonly worktree: string;
  /** The repository's common git directory, absolute. */
  readonly repository: string;
  /** What the base was asked for as. */
  readonly baseRef: string;
  /** The commit it was, or `null` before the first commit. */
  readonly baseCommit: string | null;
  /** The base's tree. */
  readonly baseTree: string;
  /** The branch HEAD was on; `null` when detached. */
  readonly branch: string | null;
  /** The exact tree of the captured files. */
  readonly tree: string;
  /** The commit that holds it; its first parent is the base. The base itself when nothing differs from it. */
  readonly commit: string;
  /** The ref that keeps it alive. */
  readonly ref: string;
  /** The earlier record this one equals; it then has no files of its own, and `ref` is the earlier one's. */
  readonly unchangedSince?: number;
  /** Totals against the base. */
  readonly diffStat: DiffStat;
  /** The staged content, with `includeIndex`. */
  readonly index?: IndexSnapshot;
  /** What could not be captured, and why. */
  readonly leftOut: readonly LeftOutPath[];
  /** Captured paths in which the redactor finds a known secret. The snapshot and its patch are exact, so they hold it. */
  readonly secretPaths: readonly RecordedPath[];
  /** Paths equal to the base that a checkout would convert all the same, because attributes came later; written as they are. */
  readonly rawPaths: readonly RecordedPath[];
  /** How to bring it back. */
  readonly replay: ReplayRecipe;
}

/** A test that failed. */
export interface TestFailure {
  /** Its full name. */
  readonly name: string;
  /** What it said, at most 4 KiB. */
  readonly message: string;
  /** The file it is in, when the report says. */
  readonly file?: string;
}

/** Formats of test reports. */
export type TestReportFormat = 'junit' | 'tap' | 'vitest-json' | 'jest-json';

/** How a test run ended. */
export interface TestTotals {
  /** All tests. */
  readonly total: number;
  /** Those that passed. */
  readonly passed: number;
  /** Those that failed or broke. */
  readonly failed: number;
  /** Those that did not run. */
  readonly skipped: number;
}

/** A test report. */
export interface TestOutputRecord extends CheckpointRecordCommon {
  /** Discriminates the record. */
  readonly type: 'test_output';
  /** The report's format. */
  readonly format: TestReportFormat;
  /** The counts. */
  readonly totals: TestTotals;
  /** The first 100 failures. */
  readonly failures: readonly TestFailure[];
  /** True when there were more failures than `failures` holds. */
  readonly truncated: boolean;
  /** Nothing to replay. */
  readonly replay: null;
}

/** Any checkpoint. */
export type CheckpointRecord = SummaryRecord | LogTailRecord | GitDiffRecord | TestOutputRecord;

/** The record a type stands for. */
export type CheckpointOfType<Type extends CheckpointType> = Extract<
  CheckpointRecord,
  { readonly type: Type }
>;
