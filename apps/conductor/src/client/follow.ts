/**
 * Follows a run over the network.
 * Invariant: a broken connection is made again behind the last event that came, so that every item comes once.
 */
import type { z } from 'zod';

import { followRun } from '../api/raw-endpoints.ts';
import type { FollowQuery } from '../api/run-endpoints.ts';
import { STREAM_EVENTS } from '../api/stream-events.ts';
import type { OutputEventView, RunEndView, RunEventView } from '../views/types.ts';
import { ConductorApiError } from './api-error.ts';
import { delay } from './delay.ts';
import { readServerSentEvents, type ServerSentEvent } from './event-source.ts';
import type { Transport } from './transport.ts';

/** Something of a run that is followed; `id` is where to go on behind it. */
export type RunStreamItem =
  | ({ readonly kind: 'output'; readonly id: string } & OutputEventView)
  | ({ readonly kind: 'event'; readonly id: string } & RunEventView)
  | ({ readonly kind: 'end'; readonly id: string } & RunEndView);

/** What to follow, and how long to try. */
export interface FollowRunOptions extends FollowQuery {
  /** Go on behind this item, as an earlier stream gave it. */
  readonly lastEventId?: string | undefined;
  /**
   * Tries in a row that may fail before the iteration throws, from 0; an item that comes starts the count anew.
   *
   * @defaultValue 10
   */
  readonly maxRetries?: number | undefined;
  /** Ends the iteration by throwing its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** @internal Follows until the `end` item. */
export async function* followRunStream(
  transport: Transport,
  run: string,
  options: FollowRunOptions,
): AsyncGenerator<RunStreamItem, void, undefined> {
  const { lastEventId, maxRetries = 10, signal, ...query } = options;
  let id = lastEventId;
  let failures = 0;
  for (;;) {
    try {
      const response = await transport.send({
        method: 'GET',
        path: followRun.path,
        params: { run },
        query,
        headers: { accept: followRun.contentType, ...(id !== undefined && { 'last-event-id': id }) },
        signal,
      });
      if (response.status === NO_CONTENT || response.body === null) return;
      for await (const event of readServerSentEvents(response.body)) {
        const item = toItem(event);
        if (item === undefined) continue;
        ({ id } = item);
        failures = 0;
        yield item;
        if (item.kind === 'end') return;
      }
      throw new ConductorApiError('connection-failed', `Cannot follow run "${run}": the stream ended early`);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isPassing(error) || failures >= maxRetries) throw error;
      failures += 1;
      await delay(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1)), signal);
    }
  }
}

/** Whether trying again may help: no answer, a stream that broke, or a daemon that is busy or going. */
function isPassing(error: unknown): boolean {
  if (error instanceof ConductorApiError) return error.status === 0 || BUSY.has(error.status);
  // What reading a body that breaks throws is a TypeError of fetch.
  return error instanceof TypeError;
}

function toItem({ event, id, data }: ServerSentEvent): RunStreamItem | undefined {
  if (id === undefined) return undefined;
  switch (event) {
    case 'output':
      return { kind: 'output', id, ...parse(STREAM_EVENTS.output, data) };
    case 'event':
      return { kind: 'event', id, ...parse(STREAM_EVENTS.event, data) };
    case 'end':
      return { kind: 'end', id, ...parse(STREAM_EVENTS.end, data) };
    default:
      // A newer daemon may have more to tell.
      return undefined;
  }
}

function parse<View>(schema: z.ZodType<View>, data: string): View {
  const parsed = schema.safeParse(JSON.parse(data));
  if (parsed.success) return parsed.data;
  throw new ConductorApiError(
    'answer-invalid',
    `Cannot read an event of the stream: ${parsed.error.issues[0]?.message ?? ''}, expected what this client knows`,
    { status: 200, cause: parsed.error },
  );
}

const NO_CONTENT = 204;
const BUSY: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 10_000;
