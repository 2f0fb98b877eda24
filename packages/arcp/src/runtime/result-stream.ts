/**
 * Streamed results (section 8.4). Invariant: pieces are numbered without a gap, each and all together are bounded, and
 * the last one says so before the job's result.
 */
import { randomUUID } from 'node:crypto';
import { ArcpError } from '../errors.ts';
import type { ResultChunkBody } from '../event-bodies.ts';
import type { Core, Job, ResultStream } from './core.ts';
import { fail } from './job-life.ts';

/**
 * Makes the next piece of a job's result.
 *
 * @throws ArcpError with code INTERNAL_ERROR when it is too large or comes after the last one; the job is over then
 */
export function nextChunk(core: Core, job: Job, data: string | Uint8Array, isLast: boolean): ResultChunkBody {
  const stream = streamOf(job);
  const isText = typeof data === 'string';
  const bytes = isText ? Buffer.byteLength(data) : data.byteLength;
  return take(core, job, stream, bytes, {
    result_id: stream.resultId,
    chunk_seq: stream.nextChunk,
    data: isText ? data : Buffer.from(data).toString('base64'),
    encoding: isText ? 'utf8' : 'base64',
    more: !isLast,
  });
}

/**
 * Checks a piece that the agent numbered itself.
 *
 * @throws ArcpError with code INTERNAL_ERROR when it does not continue the result, or is too large; the job is over then
 */
export function takeChunk(core: Core, job: Job, chunk: ResultChunkBody): ResultChunkBody {
  const stream = streamOf(job, chunk.result_id);
  if (chunk.result_id !== stream.resultId || chunk.chunk_seq !== stream.nextChunk) {
    throw refuse(
      core,
      job,
      `piece ${chunk.chunk_seq} does not continue it, expected piece ${stream.nextChunk}`,
    );
  }
  return take(core, job, stream, Buffer.byteLength(chunk.data, chunk.encoding), chunk);
}

function take(
  core: Core,
  job: Job,
  stream: ResultStream,
  bytes: number,
  chunk: ResultChunkBody,
): ResultChunkBody {
  const { maxChunkBytes, maxResultBytes, maxJoinedResultBytes } = core.settings.limits;
  if (stream.isDone) throw refuse(core, job, 'a piece came after the last one');
  if (bytes > maxChunkBytes)
    throw refuse(core, job, `a piece has ${bytes} bytes, expected at most ${maxChunkBytes}`);
  const total = stream.joined === undefined ? maxResultBytes : Math.min(maxResultBytes, maxJoinedResultBytes);
  if (stream.size + bytes > total) throw refuse(core, job, `it has more than ${total} bytes`);
  stream.size += bytes;
  stream.nextChunk += 1;
  stream.isDone = !chunk.more;
  stream.isBinary ||= chunk.encoding === 'base64';
  stream.joined?.push(Buffer.from(chunk.data, chunk.encoding));
  return chunk;
}

function streamOf(job: Job, resultId = `res_${randomUUID()}`): ResultStream {
  job.stream ??= {
    resultId,
    nextChunk: 0,
    size: 0,
    isDone: false,
    joined: job.session.features.has('result_chunk') ? undefined : [],
    isBinary: false,
  };
  return job.stream;
}

function refuse(core: Core, job: Job, why: string): ArcpError {
  const error = new ArcpError('INTERNAL_ERROR', `Cannot stream the result of job "${job.id}": ${why}`);
  fail(core, job, 'error', { code: 'INTERNAL_ERROR', message: error.message, retryable: true });
  return error;
}
