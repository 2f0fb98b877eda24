/**
 * The `watch:` part of a job: what makes it due when it changes.
 * Invariant: jobs that watch each other never form a circle, so that a success raises each job behind it once.
 */
import { z } from 'zod';

import { command } from './job-parts.ts';
import { suggest } from './suggest.ts';

/** What a job watches: files below the config's folder, the commits of a ref, an integer a command prints, or another job's success. */
export type WatchDefinition =
  | { readonly kind: 'files'; readonly globs: readonly string[] }
  | { readonly kind: 'git'; readonly ref: string }
  | { readonly kind: 'command'; readonly command: string | readonly string[] }
  | { readonly kind: 'job'; readonly job: string };

/** What a user writes. */
export interface WatchInput {
  readonly files?: readonly string[] | undefined;
  readonly git?: string | undefined;
  readonly command?: string | readonly string[] | undefined;
  readonly job?: string | undefined;
}

/** The door. */
export const watchSchema: z.ZodType<WatchInput> = z
  .strictObject({
    files: z
      .array(z.string().min(1).refine(isBelow, { error: 'expected a glob below the folder of the config' }))
      .min(1)
      .optional()
      .describe('Globs below the config’s folder; one of files, git, command and job'),
    git: z.string().min(1).optional().describe('A ref, whose commits are counted'),
    command: command.optional().describe('Prints a whole number that grows'),
    job: z.string().min(1).optional().describe('Another job of the config: due after each success of it'),
  })
  .refine((value) => Object.values(value).filter((each) => each !== undefined).length === 1, {
    error: 'expected exactly one of files, git, command and job',
  });

/** A glob that begins at a root or climbs up would watch what is not the project's. */
function isBelow(glob: string): boolean {
  return !/^(?:[/\\]|[A-Za-z]:)/.test(glob) && !glob.split(/[/\\]/).includes('..');
}

/** The file's words in those the app works with. */
export function toWatch({ files, git, command: asked, job }: WatchInput): WatchDefinition {
  if (files !== undefined) return { kind: 'files', globs: files };
  if (git !== undefined) return { kind: 'git', ref: git };
  if (job !== undefined) return { kind: 'job', job };
  return { kind: 'command', command: asked ?? [] };
}

/** Something wrong with a watch of another job. */
export interface JobWatchTrouble {
  /** The job whose watch it is. */
  readonly job: string;
  readonly message: string;
}

/** A job, as far as it matters here. */
interface Watching {
  readonly watch?: WatchInput | undefined;
}

/**
 * Finds watches of jobs that do not exist, and circles of jobs that watch each other.
 *
 * @param jobs - what a user wrote, by name
 * @returns each trouble once, by the first job of it
 */
export function findJobWatchTroubles(jobs: Readonly<Record<string, Watching>>): readonly JobWatchTrouble[] {
  const watchedBy = (name: string): string | undefined => jobs[name]?.watch?.job;
  const inCircle = new Set<string>();
  return Object.keys(jobs).flatMap((name) => {
    const watched = watchedBy(name);
    if (watched === undefined) return [];
    if (!Object.hasOwn(jobs, watched)) {
      const near = suggest(watched, Object.keys(jobs));
      const hint = near === undefined ? '' : `, did you mean "${near}"?`;
      return [{ job: name, message: `expected the name of another job of this file${hint}` }];
    }
    const circle = circleOf(name, watchedBy);
    if (circle === undefined || inCircle.has(name)) return [];
    for (const each of circle) inCircle.add(each);
    return [{ job: name, message: `expected no circle: ${[...circle, name].join(' watches ')}` }];
  });
}

/** The jobs from `start` on, when following their watches comes back to it. */
function circleOf(
  start: string,
  watchedBy: (name: string) => string | undefined,
): readonly string[] | undefined {
  const path = [start];
  for (let next = watchedBy(start); next !== undefined; next = watchedBy(next)) {
    if (next === start) return path;
    // A circle further down the line is told by one of its own.
    if (path.includes(next)) return undefined;
    path.push(next);
  }
  return undefined;
}

/** Jobs, as far as it matters who watches whom. */
type WatchingJobs = ReadonlyMap<string, { readonly watch: WatchDefinition | undefined }>;

/** Whether a job is watched by another one. */
export function isWatched(jobs: WatchingJobs, name: string): boolean {
  return [...jobs.values()].some(({ watch }) => watch?.kind === 'job' && watch.job === name);
}

/**
 * How many jobs follow one another at most: 0 when no job watches another.
 *
 * @param jobs - without circles
 */
export function chainLength(jobs: WatchingJobs): number {
  const lengthOf = (name: string): number => {
    const watch = jobs.get(name)?.watch;
    return watch?.kind === 'job' ? 1 + lengthOf(watch.job) : 0;
  };
  return Math.max(0, ...[...jobs.keys()].map(lengthOf));
}
