/**
 * The jobs a client watches. Invariant: what comes of a job whose submit is not answered yet is kept for the answer: a
 * connection that broke took it along, and the stream is told again before the submit is.
 */
import type { ArcpError } from '../errors.ts';
import { createWatchedJob, type WatchedJob } from './watched-job.ts';

/** What bounds a watched job. */
export interface JobTableOptions {
  readonly maxQueuedEvents: number;
  readonly maxResultBytes: number;
  /** Whether a submit waits for its answer. */
  readonly isSubmitting: () => boolean;
}

/** The jobs. */
export interface JobTable {
  /** The job a message is about. */
  find(jobId: string): WatchedJob | undefined;
  /** Begins to watch, with what is known of the job already. */
  watch(jobId: string): WatchedJob;
  /** Its stream has ended, or nobody watches any more. */
  forget(jobId: string | undefined): void;
  /** A submit was answered. */
  noteAnswer(): void;
  /** No message will come any more. */
  loseAll(error: ArcpError): void;
}

/** Makes an empty table. */
export function createJobTable(options: JobTableOptions): JobTable {
  const watched = new Map<string, WatchedJob>();
  const early = new Map<string, WatchedJob>();
  const create = (): WatchedJob => createWatchedJob(options.maxQueuedEvents, options.maxResultBytes);

  return {
    find(jobId) {
      const known = watched.get(jobId) ?? early.get(jobId);
      if (known !== undefined || !options.isSubmitting()) return known;
      const job = create();
      early.set(jobId, job);
      return job;
    },
    watch(jobId) {
      const known = watched.get(jobId);
      if (known !== undefined) return known;
      const job = early.get(jobId) ?? create();
      early.delete(jobId);
      if (!job.isOver()) watched.set(jobId, job);
      return job;
    },
    forget(jobId) {
      if (jobId !== undefined) watched.delete(jobId);
    },
    noteAnswer() {
      if (!options.isSubmitting()) early.clear();
    },
    loseAll(error) {
      for (const job of watched.values()) job.onLost(error);
      watched.clear();
      early.clear();
    },
  };
}
