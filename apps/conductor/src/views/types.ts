/**
 * What `--json` and the HTTP API show, as interfaces.
 * Made from the views by `pnpm run schemas:update`; do not edit.
 */

/** Attempts of a job, one page. */
export interface AttemptListView {
  /** The job: its kind in the store, its name in the config. */
  readonly job: string;
  /** Which one of its kind. */
  readonly key: string;
  /** Oldest first. */
  readonly attempts: readonly AttemptView[];
  /** Where the next page begins; null on the last one. A page may be short and yet not be the last. */
  readonly nextCursor: string | null;
}

/** One claim of a job. */
export interface AttemptView {
  /** Its number, from 1. */
  readonly attempt: number;
  /** The fencing token of its lease. */
  readonly token: number;
  /** What became of it. */
  readonly outcome: 'running' | 'succeeded' | 'failed' | 'lost' | 'released';
  /** How new the input was that it worked on. */
  readonly watermark: number;
  /** Who claimed it. */
  readonly workerId: string;
  /** On which node. */
  readonly node: string | null;
  /** When it was claimed, UTC milliseconds. */
  readonly startedAtMs: number;
  /** When it ended, UTC milliseconds. */
  readonly finishedAtMs: number | null;
  /** The directory of its task, absolute. */
  readonly runDir: string | null;
  /** Why it failed. */
  readonly error: string | null;
}

/** A copy of the store. */
export interface BackupView {
  /** The copy, absolute. */
  readonly path: string;
}

/** One line of the start-up check-list of a daemon. */
export interface CheckItemView {
  /** What was started. */
  readonly name: string;
  /** How. */
  readonly detail: string | null;
}

/** One checkpoint. */
export interface CheckpointDetailView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** A numbered record inside a run. */
  readonly checkpoint: CheckpointView;
}

/** What differs between two checkpoints. */
export interface CheckpointDiffView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The older one; null for what the run began with. */
  readonly fromSeq: number | null;
  /** The newer one. */
  readonly toSeq: number;
  /** The size of a change. */
  readonly diffStat: DiffStatView;
  /** By path. */
  readonly files: readonly FileDiffView[];
}

/** A file of a checkpoint. */
export interface CheckpointFileView {
  /** Its name in the directory of the checkpoint. */
  readonly fileName: string;
  /** What it holds, such as git-patch. */
  readonly format: string;
  /** Its media type. */
  readonly mediaType: string;
  /** Its size. */
  readonly bytes: number;
  /** Its SHA-256, hexadecimal. */
  readonly sha256: string;
}

/** Checkpoints of a run, one page. */
export interface CheckpointListView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointView[];
  /** Lines of the index that could not be read. */
  readonly skippedLines: readonly number[];
  /** Where the next page begins; null on the last one. */
  readonly nextCursor: string | null;
}

/** Why a checkpoint cannot be trusted. */
export interface CheckpointProblemView {
  /** The checkpoint. */
  readonly seq: number;
  /** What is wrong. */
  readonly problem: 'file-missing' | 'file-changed' | 'original-missing' | 'ref-unusable' | 'patch-unusable';
  /** One sentence. */
  readonly detail: string;
}

/** A numbered record inside a run. */
export type CheckpointView = SummaryView | LogTailView | GitDiffView | TestOutputView;

/** A command. */
export interface CommandView {
  /** Its words behind the name of the program. */
  readonly path: string;
  /** What it does. */
  readonly description: string;
  /** Its arguments. */
  readonly args: readonly string[];
  /** Its options. */
  readonly options: readonly OptionView[];
  /** The commands below it. */
  readonly children: readonly CommandView[];
  /** Whether it can be called, or only its children can. */
  readonly isCallable: boolean;
}

/** What a completion script is made from. */
export interface CompletionView {
  /** For which shell. */
  readonly shell: 'bash' | 'zsh' | 'fish';
  /** A command. */
  readonly program: CommandView;
}

/** A config that can be used; one that cannot is an error. */
export interface ConfigCheckView {
  /** Always true. */
  readonly isUsable: boolean;
  /** The config file, absolute. */
  readonly configPath: string;
  /** The jobs of the config. */
  readonly jobs: readonly string[];
  /** What can be used and is hardly meant. */
  readonly warnings: readonly string[];
}

/** What is in force. */
export interface ConfigView {
  /** The config file, absolute. */
  readonly configPath: string | null;
  /** Every setting. */
  readonly settings: readonly SettingView[];
  /** The jobs of the config. */
  readonly jobs: readonly string[];
}

/** Something a daemon tells while it runs. */
export interface DaemonEventView {
  /** When, UTC milliseconds. */
  readonly atMs: number;
  /** What happened. */
  readonly event: 'part.started' | 'daemon.up' | 'config.reloaded' | 'config.refused' | 'task.ended' | 'daemon.stopping' | 'daemon.stopped';
  /** The part that started, the task that ended, or the job whose attempt could not be carried out. */
  readonly name: string | null;
  /** How. */
  readonly detail: string | null;
  /** What the store made of the task; null when it could not be carried out. */
  readonly recorded: 'succeeded' | 'failed' | 'released' | 'lease-lost' | null;
  /** The last run of the task. */
  readonly runId: string | null;
}

/** A line of the daemon's own log, as it is in the file. */
export interface DaemonLogLineView {
  /** 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
  readonly level: number;
  /** When, UTC milliseconds. */
  readonly time: number;
  /** What happened, as a stable word. */
  readonly msg?: string | undefined;
  /** Whatever else there is. */
  readonly [name: string]: unknown;
}

/** The size of a change. */
export interface DiffStatView {
  /** Files that differ. */
  readonly filesChanged: number;
  /** Lines that came. */
  readonly insertions: number;
  /** Lines that went. */
  readonly deletions: number;
}

/** What will bite at night. */
export interface DoctorView {
  /** Whether nothing is bad. */
  readonly isHealthy: boolean;
  /** In the order they were made. */
  readonly checks: readonly FindingView[];
}

/** A raised watermark. */
export interface EnqueueView {
  /** The job: its kind in the store, its name in the config. */
  readonly job: string;
  /** Which one of its kind. */
  readonly key: string;
  /** Its number in the store. */
  readonly jobId: number;
  /** Whether the watermark went up; it never goes down. */
  readonly isRaised: boolean;
  /** What it is now. */
  readonly watermark: number;
  /** Whether an input that waited is lost to this one; another key keeps both. */
  readonly replacesInput: boolean;
  /** What a job waits for. */
  readonly waiting: WaitingView;
}

/** An export of the store. */
export interface ExportView {
  /** The file that was written, absolute. */
  readonly path: string;
  /** Its lines. */
  readonly lines: number;
}

/** Why a command failed. */
export interface FailureErrorView {
  /** A stable word: one of conductor's or a package's error codes, or that of the operating system, such as EACCES. */
  readonly code: string;
  /** One sentence; also on stderr. */
  readonly message: string;
  /** What to do next, one sentence. */
  readonly hint: string | null;
  /** More for programs; empty when there is nothing to add. */
  readonly details: Readonly<Record<string, unknown>>;
  /** The exit code of the command. */
  readonly exitCode: number;
}

/** A command that failed, in place of its own document. */
export interface FailureView {
  /** Why a command failed. */
  readonly error: FailureErrorView;
}

/** A file that differs. */
export interface FileDiffView {
  /** Path within the work tree. */
  readonly path: string;
  /** How it differs. */
  readonly status: 'added' | 'deleted' | 'modified' | 'type-changed';
  /** Lines that came; null for a binary file. */
  readonly insertions: number | null;
  /** Lines that went; null for a binary file. */
  readonly deletions: number | null;
  /** Its mode before. */
  readonly oldMode: string;
  /** Its mode after. */
  readonly newMode: string;
}

/** What a check came to. */
export interface FindingView {
  /** The check. */
  readonly name: string;
  /** warn will bite one day, bad bites now. */
  readonly status: 'ok' | 'warn' | 'bad';
  /** What was seen. */
  readonly detail: string;
  /** How to mend it. */
  readonly mend: string | null;
}

/** A slot to come. */
export interface ForecastSlotView {
  /** The schedule: the job. */
  readonly schedule: string;
  /** The planned instant, UTC milliseconds. */
  readonly slotMs: number;
  /** The first of the slots decided together, UTC milliseconds. */
  readonly firstSlotMs: number;
  /** How many slots are decided together. */
  readonly slotCount: number;
  /** When it will be decided, UTC milliseconds. */
  readonly firesAtMs: number;
  /** ran, coalesced, skipped or anchored. */
  readonly decision: string;
  /** Why, as a stable word. */
  readonly reason: string;
}

/** Slots to come. */
export interface ForecastView {
  /** Where the span begins, UTC milliseconds. */
  readonly fromMs: number;
  /** Where it ends, exclusive, UTC milliseconds. */
  readonly toMs: number;
  /** By the time they fire. */
  readonly slots: readonly ForecastSlotView[];
  /** Jobs with more slots than are listed. */
  readonly cutOff: readonly string[];
}

/** A branch made of a snapshot. */
export interface ForkView {
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** The new branch. */
  readonly branch: string;
  /** The new work tree, absolute. */
  readonly worktree: string;
  /** The commit it stands on. */
  readonly head: string;
  /** The tree it has. */
  readonly tree: string;
}

/** A checkpoint of a work tree. */
export interface GitDiffView {
  readonly type: 'git_diff';
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** Its number within the run, from 1. */
  readonly seq: number;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to. */
  readonly taskId: string;
  /** The step it belongs to. */
  readonly stepId: string;
  /** When it was taken, UTC milliseconds. */
  readonly createdAtMs: number;
  /** One sentence. */
  readonly summary: string;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly directory: string;
  /** Its files. */
  readonly files: readonly CheckpointFileView[];
  /** The checkpoint the run went on from. */
  readonly resumedFrom: string | null;
  /** The git directory the snapshot was written to, absolute. */
  readonly repository: string;
  /** The work tree that was captured, absolute. */
  readonly worktree: string;
  /** The branch that was checked out. */
  readonly branch: string | null;
  /** The ref that keeps the snapshot. */
  readonly ref: string;
  /** The commit of the snapshot. */
  readonly commit: string;
  /** The tree of the snapshot. */
  readonly tree: string;
  /** What it was compared with, as it was named. */
  readonly baseRef: string;
  /** The commit it was compared with; null for the empty tree. */
  readonly baseCommit: string | null;
  /** The tree it was compared with. */
  readonly baseTree: string;
  /** The size of a change. */
  readonly diffStat: DiffStatView;
  /** What was not captured. */
  readonly leftOut: readonly LeftOutPathView[];
  /** Files that held a secret. */
  readonly secretPaths: readonly string[];
  /** The checkpoint it equals, whose files stand for it. */
  readonly unchangedSince: number | null;
}

/** An import into the store. */
export interface ImportView {
  /** The file of the store, absolute. */
  readonly path: string;
  /** Records that were taken in. */
  readonly records: number;
}

/** A new config. */
export interface InitView {
  /** The file that was written, absolute. */
  readonly path: string;
}

/** One job. */
export interface JobDetailView {
  /** What is to be kept up to date: a job and its key. */
  readonly job: JobView;
}

/** Jobs, one page. */
export interface JobListView {
  /** In the order of the store. */
  readonly jobs: readonly JobView[];
  /** Where the next page begins; null on the last one. A page may be short and yet not be the last. */
  readonly nextCursor: string | null;
}

/** What became of a request to steer a job. */
export interface JobOutcomeView {
  /** The job: its kind in the store, its name in the config. */
  readonly job: string;
  /** Which one of its kind. */
  readonly key: string;
  /** What was done, or why nothing was: cancelled, requested (of the owner), due, removed; already_running, up_to_date, not_found. */
  readonly outcome: 'cancelled' | 'requested' | 'due' | 'removed' | 'already_running' | 'up_to_date' | 'not_found';
}

/** What is to be kept up to date: a job and its key. */
export interface JobView {
  /** Its number in the store. */
  readonly jobId: number;
  /** The job: its kind in the store, its name in the config. */
  readonly job: string;
  /** Which one of its kind. */
  readonly key: string;
  /** Where it stands. */
  readonly status: 'pending' | 'running' | 'done' | 'error' | 'cancelled';
  /** Whether its input is newer than its last success. */
  readonly isDirty: boolean;
  /** How new its input is. */
  readonly inputWatermark: number;
  /** How new the input of its last success was; 0 before the first. */
  readonly lastSuccessWatermark: number;
  /** The watermark the running attempt was claimed with. */
  readonly claimedWatermark: number | null;
  /** Jobs of a higher priority are claimed first. */
  readonly priority: number;
  /** What it may not run at the same time with. */
  readonly concurrencyKey: string | null;
  /** The number of its last claim; 0 before the first. */
  readonly attempt: number;
  /** Failures since the last success. */
  readonly failedAttempts: number;
  /** How often it is tried again after a failure. */
  readonly retriesLeft: number;
  /** How many retries it begins with. */
  readonly maxRetries: number;
  /** Whether it failed and has no retry left. */
  readonly isExhausted: boolean;
  /** Whether the owner was asked to stop. */
  readonly isCancelRequested: boolean;
  /** When it may be claimed, UTC milliseconds. */
  readonly dueAtMs: number;
  /** When it is tried again, UTC milliseconds. */
  readonly retryAtMs: number | null;
  /** Who holds the lease. */
  readonly workerId: string | null;
  /** The node it runs on. */
  readonly node: string | null;
  /** The fencing token of the lease. */
  readonly token: number | null;
  /** When the lease ends unless renewed, UTC milliseconds. */
  readonly leaseUntilMs: number | null;
  /** The directory of its last task, absolute. */
  readonly runDir: string | null;
  /** When its last attempt began, UTC milliseconds. */
  readonly startedAtMs: number | null;
  /** When its last attempt ended, UTC milliseconds. */
  readonly finishedAtMs: number | null;
  /** What its last failure said. */
  readonly lastError: string | null;
  /** What was enqueued with it; null when nothing was. */
  readonly payload: unknown;
  /** What its last success left; null when nothing was. */
  readonly result: unknown;
  /** When it was first asked for, UTC milliseconds. */
  readonly createdAtMs: number;
  /** When it last changed, UTC milliseconds. */
  readonly updatedAtMs: number;
}

/** A work tree that stays. */
export interface KeptWorktreeView {
  /** Where it is, absolute. */
  readonly path: string;
  /** Why. */
  readonly why: string;
}

/** How many of a job stand where. */
export interface KindStatsView {
  /** The job. */
  readonly job: string;
  /** Whether it is paused. */
  readonly isPaused: boolean;
  /** Due and not claimed. */
  readonly ready: number;
  /** Due later, or waiting for a retry. */
  readonly waiting: number;
  /** Claimed. */
  readonly running: number;
  /** Up to date. */
  readonly done: number;
  /** Failed without a retry left. */
  readonly exhausted: number;
  /** Called off. */
  readonly cancelled: number;
  /** Since when the oldest one is due, UTC milliseconds. */
  readonly oldestReadyDueAtMs: number | null;
}

/** Who leads and who led. */
export interface LeaderView {
  /** Who leads; null when nobody ever did. */
  readonly leadership: LeadershipView | null;
  /** The last terms, newest first. */
  readonly terms: readonly TermView[];
}

/** Who decides what is scheduled. */
export interface LeadershipView {
  /** The leading node and its start; null after it resigned. */
  readonly holderId: string | null;
  /** Its machine. */
  readonly host: string | null;
  /** How many leaders there have been: the fencing number of leadership. */
  readonly term: number;
  /** Whether the lease has not run out. */
  readonly isHeld: boolean;
  /** When it began to lead, UTC milliseconds. */
  readonly acquiredAtMs: number;
  /** When it last renewed, UTC milliseconds. */
  readonly renewedAtMs: number;
  /** When another node may lead unless it renews, UTC milliseconds. */
  readonly leaseExpiresAtMs: number;
  /** How long a renewal lasts, milliseconds. */
  readonly ttlMs: number;
}

/** A file that was not captured. */
export interface LeftOutPathView {
  /** Path within the work tree. */
  readonly path: string;
  /** Why, such as too-large or submodule-changed. */
  readonly reason: string;
  /** Its size. */
  readonly bytes: number | null;
}

/** One line of output. */
export interface LogLineView {
  /** When it appeared; null when nobody saw it appear, UTC milliseconds. */
  readonly atMs: number | null;
  /** Whose output. */
  readonly channel: 'stdout' | 'stderr';
  /** Where it begins in its channel, in bytes. */
  readonly offset: number;
  /** Whether it is a whole line; false for a part of a very long one or a last one without an end. */
  readonly isWhole: boolean;
  /** The line without its end. */
  readonly text: string;
}

/** A checkpoint of last lines. */
export interface LogTailView {
  readonly type: 'log_tail';
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** Its number within the run, from 1. */
  readonly seq: number;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to. */
  readonly taskId: string;
  /** The step it belongs to. */
  readonly stepId: string;
  /** When it was taken, UTC milliseconds. */
  readonly createdAtMs: number;
  /** One sentence. */
  readonly summary: string;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly directory: string;
  /** Its files. */
  readonly files: readonly CheckpointFileView[];
  /** The checkpoint the run went on from. */
  readonly resumedFrom: string | null;
  /** Whose lines. */
  readonly source: 'worker' | 'stdout' | 'stderr' | 'combined';
  /** Oldest first. */
  readonly lines: readonly string[];
  /** Whether there was more. */
  readonly isTruncated: boolean;
}

/** A store that is up to date. */
export interface MigrateView {
  /** The file of the store, absolute. */
  readonly path: string;
  /** Always true. */
  readonly isCurrent: boolean;
}

/** The config a daemon works with. */
export interface NodeConfigView {
  /** The file, absolute; null when there was none. */
  readonly path: string | null;
  /** The same for files that say the same. */
  readonly digest: string;
  /** When it was read, UTC milliseconds. */
  readonly loadedAtMs: number;
  /** Whether the file still says the same; null when it cannot be read from here. */
  readonly isCurrent: boolean | null;
  /** Keys whose values are used after a restart only. */
  readonly restartFor: readonly string[];
  /** Why the file was refused the last time it was read again. */
  readonly problem: string | null;
}

/** Daemons. */
export interface NodeListView {
  /** Every one that has not left. */
  readonly nodes: readonly NodeView[];
}

/** A daemon. */
export interface NodeView {
  /** Its name. */
  readonly nodeId: string;
  /** The machine it runs on. */
  readonly host: string;
  /** Whether its last sign of life is younger than its time to live, and its process is not known to be gone. */
  readonly isLive: boolean;
  /** Whether it takes nothing new and waits for its tasks to end. */
  readonly isDraining: boolean;
  /** leader, degraded or standby; null when it has not said. */
  readonly role: string | null;
  /** Tasks it runs. */
  readonly running: number | null;
  /** Tasks it may run at once. */
  readonly maxParallel: number | null;
  /** Where its HTTP API listens. */
  readonly apiUrl: string | null;
  /** What it is made of, in the order it started. */
  readonly checklist: readonly CheckItemView[];
  /** The config it works with; null when it has not said. */
  readonly config: NodeConfigView | null;
  /** When it started, UTC milliseconds. */
  readonly startedAtMs: number;
  /** When it last gave a sign of life, UTC milliseconds. */
  readonly beatAtMs: number;
}

/** An option of a command. */
export interface OptionView {
  /** As in the help, such as -f, --follow. */
  readonly flags: string;
  /** Such as --follow. */
  readonly long: string;
  /** Such as -f. */
  readonly short: string | null;
  /** What it does. */
  readonly description: string;
  /** Whether a value follows. */
  readonly takesValue: boolean;
  /** What it is when not given. */
  readonly defaultValue: string | null;
}

/** Output that appeared. */
export interface OutputEventView {
  /** Its number in the run's one sequence of events and output. */
  readonly seq: number;
  /** When it was seen, UTC milliseconds. */
  readonly atMs: number;
  /** Whose output. */
  readonly channel: 'stdout' | 'stderr';
  /** Where it begins in its channel, in bytes. */
  readonly offset: number;
  /** How many bytes of the channel it stands for. */
  readonly bytes: number;
  /** The bytes as UTF-8; what is none is U+FFFD, and readOutput has the bytes. */
  readonly text: string;
}

/** The last lines of a run. */
export interface OutputTailView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Oldest first. */
  readonly lines: readonly LogLineView[];
  /** Whether there is more output before them. */
  readonly isTruncated: boolean;
}

/** What was paused or resumed. */
export interface PauseView {
  /** The job; null for everything. */
  readonly job: string | null;
  /** Whether it is paused now. */
  readonly isPaused: boolean;
}

/** What pruning checkpoints removed. */
export interface PruneCheckpointsView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Those that went. */
  readonly removed: readonly number[];
  /** Those that stay. */
  readonly kept: readonly number[];
  /** Refs that went. */
  readonly removedRefs: readonly string[];
  /** Repositories that could not be reached. */
  readonly unreachable: readonly UnreachableRepositoryView[];
}

/** What pruning runs removed. */
export interface PruneRunsView {
  /** Oldest first. */
  readonly removed: readonly PrunedRunView[];
  /** Bytes they took together. */
  readonly freedBytes: number;
  /** Ended and live runs that stay. */
  readonly keptRuns: number;
  /** Directories that could not be read, which stay. */
  readonly unreadable: number;
  /** Whether this only says what would go. */
  readonly isDryRun: boolean;
}

/** What the store forgot. */
export interface PruneStoreView {
  /** Attempts. */
  readonly attempts: number;
  /** Jobs. */
  readonly jobs: number;
}

/** What pruning work trees removed. */
export interface PruneWorktreesView {
  /** Those that went. */
  readonly removed: readonly string[];
  /** Bytes they took together. */
  readonly freedBytes: number;
  /** Those that hold something. */
  readonly kept: readonly KeptWorktreeView[];
  /** Whether this only says what would be looked at. */
  readonly isDryRun: boolean;
}

/** A removed run. */
export interface PrunedRunView {
  /** The task it belongs to: the job and a ULID. */
  readonly taskId: string;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** How many bytes it took. */
  readonly bytes: number;
  /** Which limit it was over. */
  readonly reason: 'age' | 'count' | 'size';
}

/** What the daemons made of their config. */
export interface ReloadListView {
  /** One for each daemon that was asked. */
  readonly daemons: readonly ReloadView[];
}

/** A config that was read again. */
export interface ReloadView {
  /** The daemon. */
  readonly node: string;
  /** Whether the file, as it was read, is in use. */
  readonly isInUse: boolean;
  /** The config file, absolute. */
  readonly configPath: string | null;
  /** Of what is in use now. */
  readonly digest: string;
  /** Jobs that came. */
  readonly added: readonly string[];
  /** Jobs that are defined otherwise now. */
  readonly changed: readonly string[];
  /** Jobs that went: their rows stay, and nothing starts them. */
  readonly removed: readonly string[];
  /** Keys whose values are used after a restart only. */
  readonly restartFor: readonly string[];
  /** Why the file is not used. */
  readonly problem: string | null;
}

/** A snapshot brought back. */
export interface ReplayView {
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** The tree of the snapshot. */
  readonly recordedTree: string;
  /** Whether it was; with conflicts nothing is made. */
  readonly outcome: 'replayed' | 'conflicts';
  /** What it was brought back from. */
  readonly source: 'ref' | 'patch' | null;
  /** The new work tree, absolute. */
  readonly worktree: string | null;
  /** The commit it stands on. */
  readonly head: string | null;
  /** The tree it has; the recorded one unless it was merged onto another commit. */
  readonly tree: string | null;
  /** Files a filter of git changes when checked out. */
  readonly filtered: readonly string[];
  /** Files that conflict. */
  readonly conflicts: readonly string[];
}

/** A work tree made equal. */
export interface RestoreView {
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** The run that recorded what was there before. */
  readonly undoRunId: string;
  /** Files written. */
  readonly written: number;
  /** Files removed. */
  readonly removed: number;
  /** Files that were left alone. */
  readonly untouched: readonly LeftOutPathView[];
}

/** One run. */
export interface RunDetailView {
  /** One execution of one step, in full. */
  readonly run: RunFullView;
}

/** What a run changed in its work tree. */
export interface RunDiffView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The checkpoint from before its first instruction; null when there is none and the base of `checkpoint` stands for it. */
  readonly startSeq: number | null;
  /** The size of a change. */
  readonly diffStat: DiffStatView;
  /** By path; null when the repository is gone. */
  readonly files: readonly FileDiffView[] | null;
  /** A checkpoint of a work tree. */
  readonly checkpoint: GitDiffView;
}

/** The end of a stream: the run has ended, or there is no more for now. */
export interface RunEndView {
  /** One execution of one step, in full. */
  readonly run: RunFullView;
}

/** Lifecycle events of a run, one page. */
export interface RunEventListView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Oldest first. */
  readonly events: readonly RunEventView[];
  /** Where the next page begins; null on the last one. A page may be short and yet not be the last. */
  readonly nextCursor: string | null;
}

/** Something that happened to a run. */
export interface RunEventView {
  /** Its number in the run's one sequence of events and output. */
  readonly seq: number;
  /** When it happened, UTC milliseconds. */
  readonly createdAtMs: number;
  /** What happened, such as step_completed. */
  readonly type: string;
  /** How much it matters. */
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** One sentence. */
  readonly message: string;
  /** What belongs to it; null when nothing does. */
  readonly data: unknown;
}

/** One execution of one step, in full. */
export interface RunFullView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to: the job and a ULID. */
  readonly taskId: string;
  /** The job, as far as the task names it. */
  readonly job: string;
  /** The step that was run. */
  readonly stepName: string;
  /** Which attempt of the job it belongs to, from 1. */
  readonly attempt: number;
  /** Where it stands. */
  readonly status: 'prepared' | 'running' | 'completed' | 'failed' | 'blocked' | 'cancelled' | 'timed_out' | 'lost';
  /** Exit code of the step; null when it has none. */
  readonly exitCode: number | null;
  /** The signal that ended the step. */
  readonly signal: string | null;
  /** How it went, one sentence. */
  readonly summary: string | null;
  /** When its record was made, UTC milliseconds. */
  readonly createdAtMs: number;
  /** When the step began, UTC milliseconds. */
  readonly startedAtMs: number | null;
  /** When the step ended, UTC milliseconds. */
  readonly finishedAtMs: number | null;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly runDir: string;
  /** Id of the step within its task. */
  readonly stepId: string;
  /** What sort of step it is. */
  readonly stepKind: string;
  /** What carries it out. */
  readonly workerKind: string;
  /** The command and its arguments; empty when it is none. */
  readonly command: readonly string[];
  /** The machine it ran on. */
  readonly host: string;
  /** The repository it worked on, absolute. */
  readonly repoRoot: string | null;
  /** The directory it ran in, absolute. */
  readonly worktreePath: string | null;
  /** Bytes of standard output recorded. */
  readonly stdoutBytes: number;
  /** Bytes of standard error recorded. */
  readonly stderrBytes: number;
  /** Bytes of output that were dropped. */
  readonly droppedBytes: number;
  /** Number of its last checkpoint; 0 when it has none. */
  readonly checkpointSeq: number;
  /** Number of its last event or chunk of output. */
  readonly lastEventSeq: number;
  /** Process id of the step while it runs. */
  readonly pid: number | null;
  /** Versions worth knowing later, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** When its state was last written, UTC milliseconds. */
  readonly updatedAtMs: number;
}

/** Runs, one page. */
export interface RunListView {
  /** Newest task first, its newest run first. */
  readonly runs: readonly RunView[];
  /** What could not be read on this page. */
  readonly unreadable: readonly UnreadableRunView[];
  /** Where the next page begins; null on the last one. A page may be short and yet not be the last. */
  readonly nextCursor: string | null;
}

/** One execution of one step. */
export interface RunView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to: the job and a ULID. */
  readonly taskId: string;
  /** The job, as far as the task names it. */
  readonly job: string;
  /** The step that was run. */
  readonly stepName: string;
  /** Which attempt of the job it belongs to, from 1. */
  readonly attempt: number;
  /** Where it stands. */
  readonly status: 'prepared' | 'running' | 'completed' | 'failed' | 'blocked' | 'cancelled' | 'timed_out' | 'lost';
  /** Exit code of the step; null when it has none. */
  readonly exitCode: number | null;
  /** The signal that ended the step. */
  readonly signal: string | null;
  /** How it went, one sentence. */
  readonly summary: string | null;
  /** When its record was made, UTC milliseconds. */
  readonly createdAtMs: number;
  /** When the step began, UTC milliseconds. */
  readonly startedAtMs: number | null;
  /** When the step ended, UTC milliseconds. */
  readonly finishedAtMs: number | null;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly runDir: string;
}

/** A setting and where it came from. */
export interface SettingView {
  /** Its key in the config file. */
  readonly key: string;
  /** What is in force; secrets are never shown. */
  readonly value: string | number;
  /** Where it came from. */
  readonly source: 'flag' | 'environment' | 'file' | 'default';
}

/** How often a schedule would run. */
export interface SimulatedScheduleView {
  /** The schedule: the job. */
  readonly schedule: string;
  /** Slots by decision: ran, coalesced, skipped. */
  readonly counts: Readonly<Record<string, number>>;
  /** Slots that did not run, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
}

/** A span of time, played through the real scheduler. */
export interface SimulationView {
  /** Where the span begins, UTC milliseconds. */
  readonly fromMs: number;
  /** Where it ends, exclusive, UTC milliseconds. */
  readonly toMs: number;
  /** Slots that were decided. */
  readonly slotCount: number;
  /** One for each job with a schedule. */
  readonly schedules: readonly SimulatedScheduleView[];
}

/** What became of one slot. */
export interface SlotAnswerView {
  /** The instant that was asked for, UTC milliseconds. */
  readonly askedMs: number;
  /** Whether it is a slot, and whether it is decided. */
  readonly status: 'decided' | 'overdue' | 'upcoming' | 'not-a-slot' | 'forgotten';
  /** The slot it was decided with, UTC milliseconds. */
  readonly slotMs: number | null;
  /** ran, coalesced, skipped or anchored. */
  readonly decision: string | null;
  /** Why, as a stable word. */
  readonly reason: string | null;
  /** In which term of leadership. */
  readonly term: number | null;
  /** When it will be decided, UTC milliseconds. */
  readonly firesAtMs: number | null;
  /** The next slot, when the instant is none, UTC milliseconds. */
  readonly nextSlotMs: number | null;
}

/** A slot that was decided. */
export interface SlotView {
  /** The schedule: the job, or its watch. */
  readonly schedule: string;
  /** The planned instant, UTC milliseconds; of a watch the value that was seen. */
  readonly slotMs: number;
  /** ran, coalesced, skipped or anchored. */
  readonly decision: string;
  /** Why, as a stable word; of a watch what was seen. */
  readonly reason: string | null;
  /** When it was decided, UTC milliseconds. */
  readonly decidedAtMs: number;
  /** In which term of leadership. */
  readonly term: number;
}

/** Who leads, who lives, what runs. */
export interface StatusView {
  /** The version of conductor that answers. */
  readonly version: string;
  /** The node that answered; null when no daemon did and the store was read instead. */
  readonly answeredBy: string | null;
  /** The file of the store, absolute. */
  readonly store: string;
  /** Whether everything is paused. */
  readonly isPaused: boolean;
  /** Who leads; null when nobody ever did. */
  readonly leadership: LeadershipView | null;
  /** Daemons. */
  readonly nodes: readonly NodeView[];
  /** One for each job. */
  readonly kinds: readonly KindStatsView[];
}

/** How a step of a foreground task ended. */
export interface StepResultView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The step that was run. */
  readonly stepName: string;
  /** How it ended. */
  readonly outcome: 'prepared' | 'running' | 'completed' | 'failed' | 'blocked' | 'cancelled' | 'timed_out' | 'lost';
  /** Whether it succeeded. */
  readonly isOk: boolean;
  /** Exit code of the step; null when it has none. */
  readonly exitCode: number | null;
  /** The signal that ended the step. */
  readonly signal: string | null;
  /** How it went, one sentence. */
  readonly summary: string;
  /** How long it took, milliseconds. */
  readonly durationMs: number;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly runDir: string;
}

/** How many jobs stand where. */
export interface StoreStatsView {
  /** The file of the store, absolute. */
  readonly path: string;
  /** Whether everything is paused. */
  readonly isPaused: boolean;
  /** One for each job. */
  readonly kinds: readonly KindStatsView[];
}

/** A checkpoint of words. */
export interface SummaryView {
  readonly type: 'summary';
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** Its number within the run, from 1. */
  readonly seq: number;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to. */
  readonly taskId: string;
  /** The step it belongs to. */
  readonly stepId: string;
  /** When it was taken, UTC milliseconds. */
  readonly createdAtMs: number;
  /** One sentence. */
  readonly summary: string;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly directory: string;
  /** Its files. */
  readonly files: readonly CheckpointFileView[];
  /** The checkpoint the run went on from. */
  readonly resumedFrom: string | null;
  /** More than one sentence. */
  readonly detail: string | null;
  /** What a program left; null when none did. */
  readonly json: unknown;
}

/** How a foreground task ended. */
export interface TaskOutcomeView {
  /** The task it belongs to: the job and a ULID. */
  readonly taskId: string;
  /** What the store made of it; lease-lost when somebody else owns the job by now. */
  readonly recorded: 'succeeded' | 'failed' | 'released' | 'lease-lost';
  /** One sentence. */
  readonly summary: string;
  /** In the order they ran. */
  readonly steps: readonly StepResultView[];
}

/** One term of leadership. */
export interface TermView {
  /** Its number. */
  readonly term: number;
  /** Who led. */
  readonly holderId: string;
  /** On which machine. */
  readonly host: string;
  /** Since when, UTC milliseconds. */
  readonly acquiredAtMs: number;
  /** Until when; null while it leads, UTC milliseconds. */
  readonly endedAtMs: number | null;
  /** How it ended. */
  readonly endedBy: 'resigned' | 'superseded' | null;
}

/** A failed test. */
export interface TestFailureView {
  /** The test. */
  readonly name: string;
  /** What it said. */
  readonly message: string;
  /** Where it is. */
  readonly file: string | null;
}

/** A checkpoint of a test report. */
export interface TestOutputView {
  readonly type: 'test_output';
  /** The checkpoint's id. */
  readonly checkpointId: string;
  /** Its number within the run, from 1. */
  readonly seq: number;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** The task it belongs to. */
  readonly taskId: string;
  /** The step it belongs to. */
  readonly stepId: string;
  /** When it was taken, UTC milliseconds. */
  readonly createdAtMs: number;
  /** One sentence. */
  readonly summary: string;
  /** Where its files are, absolute, on the machine that ran it. */
  readonly directory: string;
  /** Its files. */
  readonly files: readonly CheckpointFileView[];
  /** The checkpoint the run went on from. */
  readonly resumedFrom: string | null;
  /** What the report was written in. */
  readonly format: 'junit' | 'tap' | 'vitest-json' | 'jest-json';
  /** Tests. */
  readonly total: number;
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed. */
  readonly failed: number;
  /** Tests that were skipped. */
  readonly skipped: number;
  /** The failed ones. */
  readonly failures: readonly TestFailureView[];
  /** Whether there were more failures. */
  readonly isTruncated: boolean;
}

/** A repository whose refs could not be removed. */
export interface UnreachableRepositoryView {
  /** Its git directory, absolute. */
  readonly repository: string;
  /** Why. */
  readonly reason: string;
}

/** A directory that looks like a run and cannot be read. */
export interface UnreadableRunView {
  /** The task it belongs to: the job and a ULID. */
  readonly taskId: string;
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Why. */
  readonly message: string;
}

/** Whether checkpoints are exact. */
export interface VerifyView {
  /** The run's id, a ULID. */
  readonly runId: string;
  /** Those that are exact. */
  readonly verified: readonly number[];
  /** Those that are not. */
  readonly problems: readonly CheckpointProblemView[];
  /** Lines of the index that could not be read. */
  readonly skippedLines: readonly number[];
  /** Those whose writer died. */
  readonly unfinished: readonly number[];
}

/** What a job waits for. */
export interface WaitingView {
  /** The store's refusal, or why a job that may start has not. */
  readonly state: 'already_running' | 'up_to_date' | 'retry_pending' | 'retry_exhausted' | 'concurrency_limit' | 'not_due' | 'paused' | 'cancelled' | 'not_found' | 'ready' | 'no_daemon' | 'older_config' | 'no_room' | 'not_configured';
  /** One sentence. */
  readonly text: string;
  /** When to look again, UTC milliseconds. */
  readonly untilMs: number | null;
  /** What would change it. */
  readonly hint: string | null;
}

/** What a job watches. */
export interface WatchView {
  /** files, git, command or job. */
  readonly kind: string;
  /** The job whose successes are watched. */
  readonly job: string | null;
  /** The newest value that was acted on. */
  readonly seen: number | null;
}

/** Why a job ran, did not run, or waits. */
export interface WhyView {
  /** The job. */
  readonly job: string;
  /** Which one of its kind. */
  readonly key: string;
  /** What a job waits for. */
  readonly waiting: WaitingView;
  /** Its last slots, newest first. */
  readonly slots: readonly SlotView[];
  /** What it watches. */
  readonly watch: WatchView | null;
  /** The changes its watch has seen, newest first. */
  readonly changes: readonly SlotView[];
  /** Its next slots. */
  readonly upcoming: readonly ForecastSlotView[];
  /** Its last attempts, oldest first. */
  readonly attempts: readonly AttemptView[];
  /** What became of the slot that was asked for with --at; null without. */
  readonly answer: SlotAnswerView | null;
  /** What keeps its schedule or watch from ever making it due, one sentence; null when nothing does. */
  readonly problem: string | null;
}

/** Work trees of tasks, one page. */
export interface WorktreeListView {
  /** Oldest first. */
  readonly worktrees: readonly WorktreeView[];
  /** Where the next page begins; null on the last one. A page may be short and yet not be the last. */
  readonly nextCursor: string | null;
}

/** A work tree of a task. */
export interface WorktreeView {
  /** The task it was made for. */
  readonly taskId: string;
  /** Where it is, absolute. */
  readonly path: string;
  /** Its branch. */
  readonly branch: string | null;
  /** The commit it stands on. */
  readonly head: string;
  /** Its size. */
  readonly bytes: number;
  /** How long ago it was made, milliseconds. */
  readonly ageMs: number;
  /** Whether git keeps it from being removed. */
  readonly isLocked: boolean;
  /** Whether its folder is gone. */
  readonly isMissing: boolean;
  /** Whether its task has not ended. */
  readonly isTaskLive: boolean;
}
