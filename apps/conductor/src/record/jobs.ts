/** Jobs and their attempts, page by page. */
import type { Job, JobStatus, JsonValue } from '@conductor-run/job-store';
import { z } from 'zod';

import { toEnqueueRequest } from '../enqueue-request.ts';
import { ConductorError } from '../errors.ts';
import { requireDefinition } from '../job-lookup.ts';
import { suggest } from '../suggest.ts';
import { toAttemptView, toEnqueueView, toJobView } from '../views/job-views.ts';
import type { AttemptListView, EnqueueView, JobListView, PauseView } from '../views/types.ts';
import { parseCursor } from './cursor.ts';
import { explainWaiting } from '../waiting.ts';
import type { RecordPlace } from './record-place.ts';

/** Which jobs, and how many of them. */
export interface JobListRequest {
  readonly job?: string | undefined;
  readonly status?: JobStatus | undefined;
  readonly keyPrefix?: string | undefined;
  readonly isDirty?: boolean | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** One page of jobs, in the order of the store. */
export async function readJobs({ store }: RecordPlace, request: JobListRequest): Promise<JobListView> {
  const { job, status, keyPrefix, isDirty, limit, cursor } = request;
  const page = await store.list({
    limit,
    ...(job !== undefined && { kind: job }),
    ...(status !== undefined && { status }),
    ...(keyPrefix !== undefined && { keyPrefix }),
    ...(isDirty !== undefined && { isDirty }),
    ...(cursor !== undefined && { cursor }),
  });
  return { jobs: page.jobs.map(toJobView), nextCursor: page.nextCursor ?? null };
}

/**
 * One page of a job's attempts, oldest first.
 *
 * @param place - the record
 * @param name - of the job
 * @param key - which one of its kind
 * @param page - how many at most, and where to begin
 * @throws ConductorError with code `job-unknown`, or `usage` for a cursor that is none
 */
export async function readAttempts(
  place: RecordPlace,
  name: string,
  key: string,
  page: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<AttemptListView> {
  await requireJob(place, name, key);
  const { store } = place;
  const afterToken = page.cursor === undefined ? 0 : parseCursor(page.cursor);
  const attempts = await store.attempts(name, key, { limit: page.limit, afterToken });
  const last = attempts.length < page.limit ? undefined : attempts.at(-1);
  const [next] =
    last === undefined ? [] : await store.attempts(name, key, { limit: 1, afterToken: last.token });
  const nextCursor = last === undefined || next === undefined ? null : String(last.token);
  return { job: name, key, attempts: attempts.map(toAttemptView), nextCursor };
}

/**
 * Raises a job's watermark.
 *
 * @param place - the record
 * @param name - of a job of the config
 * @param request - which one of its kind, how new its input is, and the input itself: JSON for each step's standard input
 * @throws ConductorError with code `job-unknown`
 */
export async function enqueueJob(
  { config, store, clock }: RecordPlace,
  name: string,
  request: { readonly key: string; readonly watermark?: number | undefined; readonly input?: unknown },
): Promise<EnqueueView> {
  const { key, watermark, input } = request;
  const definition = requireDefinition(config.jobs, name);
  const { before, result } = await store.transaction((tx) => ({
    before: tx.get(name, key),
    result: tx.enqueue({
      ...toEnqueueRequest(definition, key),
      ...(watermark !== undefined && { watermark }),
      ...(input !== undefined && { payload: { input: jsonValue.parse(input) } }),
    }),
  }));
  const replacesInput = result.isRaised && input !== undefined && hasInputThatWaits(before);
  const waiting = await explainWaiting(store, name, key, definition, clock.nowMs());
  return toEnqueueView(name, key, { ...result, replacesInput }, waiting);
}

/** Whether nobody has claimed the newest input of a job yet. */
function hasInputThatWaits(job: Job | undefined): boolean {
  if (job?.payload === undefined || !job.isDirty) return false;
  return job.status !== 'running' || job.inputWatermark !== job.claimedWatermark;
}

/**
 * Pauses a job or lets it go on, all its keys.
 *
 * @param place - the record
 * @param verb - which of the two
 * @param name - of a job of the config or the store
 * @throws ConductorError with code `job-unknown`: a name mistyped would pause nothing, and say that it did
 */
export async function steerKind(
  place: Pick<RecordPlace, 'config' | 'store'>,
  verb: 'pause' | 'resume',
  name: string,
): Promise<PauseView> {
  const known = await knownKinds(place);
  if (!known.includes(name)) throw unknownJob(name, known);
  await place.store[verb](name);
  return { job: name, isPaused: verb === 'pause' };
}

/** What was parsed from JSON: this only says so to the compiler. */
const jsonValue: z.ZodType<JsonValue> = z.json();

/**
 * Finds a job in the store.
 *
 * @param place - the record
 * @param name - what the user typed
 * @param key - which one of its kind
 * @throws ConductorError with code `job-unknown`, with the nearest name
 */
export async function requireJob(
  place: Pick<RecordPlace, 'config' | 'store'>,
  name: string,
  key: string,
): Promise<Job> {
  const job = await place.store.get(name, key);
  if (job !== undefined) return job;
  const known = await knownKinds(place);
  if (known.includes(name)) {
    throw new ConductorError(
      'job-unknown',
      `Cannot find job "${name}" with key "${key}": it never ran, expected one that was enqueued or run`,
      { hint: `conductor run ${name}` },
    );
  }
  throw unknownJob(name, known);
}

async function knownKinds({
  config,
  store,
}: Pick<RecordPlace, 'config' | 'store'>): Promise<readonly string[]> {
  return [...config.jobs.keys(), ...(await store.stats()).kinds.map(({ kind }) => kind)];
}

function unknownJob(name: string, known: readonly string[]): ConductorError {
  const near = suggest(name, known);
  return new ConductorError(
    'job-unknown',
    `Cannot find job "${name}": expected one of the config or the store`,
    { hint: near === undefined ? 'conductor jobs list' : `Did you mean "${near}"?` },
  );
}
