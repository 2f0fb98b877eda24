/** What a client knows of one job. Invariant: a job ends once, and its chunks are put together in order. */
import { createDeferred, type Deferred } from '../deferred.ts';
import type { ArcpError, ArcpErrorPayload } from '../errors.ts';
import type { ResultChunkBody } from '../event-bodies.ts';
import type { JobErrorPayload, JobResult } from '../wire.ts';
import { createEventQueue, type EventQueue } from './event-queue.ts';
import type { JobEnd, ReceivedEvent } from './options.ts';

/** A job whose messages come in. */
export interface WatchedJob {
  readonly queue: EventQueue<ReceivedEvent>;
  readonly end: Promise<JobEnd>;
  /** Whether its end is known. */
  isOver(): boolean;
  onEvent(event: ReceivedEvent): void;
  onResult(result: JobResult): void;
  onError(error: JobErrorPayload): void;
  /** Its end will never be known. */
  onLost(error: ArcpError): void;
}

/** Begins to watch. */
export function createWatchedJob(maxQueued: number, maxResultBytes: number): WatchedJob {
  const queue = createEventQueue<ReceivedEvent>(maxQueued);
  const end: Deferred<JobEnd> = createDeferred();
  // Whoever only iterates events must not bring the process down with it.
  end.promise.catch(() => undefined);
  const chunks: Buffer[] = [];
  let size = 0;
  let isBinary = false;
  let fault: ArcpErrorPayload | undefined;
  let isOver = false;
  const finish = (): void => {
    isOver = true;
    queue.end();
  };

  const takeChunk = (chunk: ResultChunkBody): void => {
    const piece = Buffer.from(chunk.data, chunk.encoding);
    size += piece.length;
    isBinary ||= chunk.encoding === 'base64';
    if (chunk.chunk_seq !== chunks.length)
      fault ??= broken(`chunk ${chunk.chunk_seq} came as number ${chunks.length}`);
    if (size > maxResultBytes) {
      fault ??= broken(`it has more than ${maxResultBytes} bytes`);
      chunks.length = 0;
    }
    if (fault === undefined) chunks.push(piece);
  };
  return {
    queue,
    end: end.promise,
    isOver: () => isOver,
    onEvent(event) {
      if (event.kind === 'result_chunk') takeChunk(event.body as ResultChunkBody);
      queue.push(event);
    },
    onResult({ result, result_id: resultId, summary }) {
      const bytes = Buffer.concat(chunks);
      const whole = resultId === undefined ? result : isBinary ? bytes : bytes.toString('utf8');
      end.resolve(
        fault === undefined || resultId === undefined
          ? { status: 'success', result: whole, summary }
          : { status: 'error', error: fault },
      );
      finish();
    },
    onError({ final_status: status, ...error }) {
      end.resolve({ status, error });
      finish();
    },
    onLost(error) {
      end.reject(error);
      finish();
    },
  };
}

function broken(why: string): ArcpErrorPayload {
  return { code: 'INTERNAL_ERROR', message: `Cannot put the result together: ${why}`, retryable: true };
}
