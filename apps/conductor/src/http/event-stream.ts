/**
 * Sends server-sent events over a reply that is taken over.
 * Invariant: an event is made only when the one before it has left for the network, so that a slow reader costs no memory;
 * one who does not read at all is let go.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

import type { Clock, Timer } from '@conductor-run/clock';
import type { Logger } from '@conductor-run/logging';
import type { FastifyReply } from 'fastify';

import { ConductorError } from '../errors.ts';
import type { StreamEvent } from './run-stream.ts';

/** Sends streams, a bounded number at once. */
export interface EventStreams {
  /**
   * Takes over a reply until its events end, the client goes away or the daemon stops.
   *
   * @param reply - not sent yet
   * @param toEvents - makes the events; its signal is aborted when nobody wants them any more
   * @throws ConductorError with code `stream-limit`, before anything is sent
   */
  send(reply: FastifyReply, toEvents: (signal: AbortSignal) => AsyncIterable<StreamEvent>): Promise<void>;
}

/** What streams work with. */
export interface EventStreamsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborted when the daemon begins to stop. */
  readonly stopping: AbortSignal;
  /** How many at once. @defaultValue 100 */
  readonly maxStreams?: number;
}

/** Makes the sender of a server. */
export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { clock, logger, stopping, maxStreams = 100 } = options;
  let open = 0;
  return {
    async send(reply, toEvents) {
      if (open >= maxStreams) {
        throw new ConductorError(
          'stream-limit',
          `Cannot open another stream: ${open} are open, expected fewer than ${maxStreams}`,
          { hint: 'Close one, or read /tail now and then.' },
        );
      }
      open += 1;
      reply.hijack();
      const { raw } = reply;
      const gone = new AbortController();
      raw.once('close', () => gone.abort());
      // Whatever happens to the socket also closes it.
      raw.on('error', () => gone.abort());
      const heartbeat = startHeartbeat(raw, clock);
      try {
        raw.writeHead(200, { ...toHeaders(reply), ...STREAM_HEADERS });
        raw.write(`retry: ${RETRY_MS}\n\n`);
        const signal = AbortSignal.any([gone.signal, stopping]);
        for await (const { event, id, data } of toEvents(signal)) {
          if (!raw.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) {
            await drained(raw, clock, signal);
          }
        }
        raw.end();
      } catch (error) {
        if (!gone.signal.aborted) {
          logger.warn({ err: error, requestId: reply.request.id }, 'stream.broken');
          raw.destroy();
        }
      } finally {
        heartbeat.stop();
        open -= 1;
      }
    },
  };
}

/** Comments that keep proxies from closing a silent connection, and show that it is alive. */
function startHeartbeat(raw: ServerResponse, clock: Clock): { stop(): void } {
  let timer: Timer;
  const arm = (): void => {
    timer = clock.setTimer(HEARTBEAT_MS, () => {
      if (!raw.writableNeedDrain && !raw.writableEnded) raw.write(': alive\n\n');
      arm();
    });
  };
  arm();
  return { stop: () => timer.cancel() };
}

async function drained(raw: ServerResponse, clock: Clock, signal: AbortSignal): Promise<void> {
  const late = new AbortController();
  const timer = clock.setTimer(MAX_SILENCE_MS, () => {
    late.abort(new Error(`Cannot send to a client: it read nothing for ${MAX_SILENCE_MS} ms`));
  });
  try {
    await once(raw, 'drain', { signal: AbortSignal.any([signal, late.signal]) });
  } catch (error) {
    if (late.signal.aborted) throw late.signal.reason;
    // Gone or stopping: the events end by themselves.
    if (!signal.aborted) throw error;
  } finally {
    timer.cancel();
  }
}

function toHeaders(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(
    Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  );
}

const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};
const HEARTBEAT_MS = 15_000;
/** How long a client may read nothing. */
const MAX_SILENCE_MS = 60_000;
/** How long a client should wait before it comes back. */
const RETRY_MS = 1_000;
