/** What this package throws. Invariant: callers switch on `code`; messages are for people. */

/** Why a checkpoint call was refused or failed. Stable: switch on it, log it, alert on it. */
export type CheckpointErrorCode =
  | 'not-a-repository'
  | 'not-a-worktree-root'
  | 'bare-repository'
  | 'unsafe-worktree'
  | 'run-directory-captured'
  | 'unknown-base'
  | 'secret-found'
  | 'checkpoint-not-found'
  | 'not-a-snapshot'
  | 'snapshot-unavailable'
  | 'replay-mismatch'
  | 'directory-not-empty'
  | 'branch-exists'
  | 'would-lose-content'
  | 'restore-incomplete'
  | 'report-unreadable'
  | 'git-missing'
  | 'git-too-old'
  | 'git-timeout'
  | 'git-failed';

/** Thrown when a checkpoint cannot be taken, read or brought back. Files that could not be captured are not errors: see `leftOut`. */
export class CheckpointError extends Error {
  override get name(): string {
    return 'CheckpointError';
  }

  /** Why; see {@link CheckpointErrorCode}. */
  readonly code: CheckpointErrorCode;

  constructor(code: CheckpointErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** @internal The `code` of a system error such as `ENOENT`, or `undefined` for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** @internal What `looking` finds, or `undefined` when there is nothing at its path. */
export async function unlessMissing<Found>(looking: Promise<Found>): Promise<Found | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (MISSING.has(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);
