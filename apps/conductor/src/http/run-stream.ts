/**
 * A run's output and events as server-sent events.
 * Invariant: an event's id holds how far every channel was delivered, so that whoever comes back with it gets the rest,
 * each byte once. Characters are never cut: what is only begun waits for its end.
 */
import type { OutputChannelName, OutputChunk, RunReader } from '@conductor-run/logging';

import type { STREAM_EVENTS } from '../api/stream-events.ts';
import { ConductorError } from '../errors.ts';
import { toRunEventView, toRunFullView } from '../views/run-views.ts';
import type { OutputEventView, RunEndView, RunEventView } from '../views/types.ts';

/** One event of the stream. */
export interface StreamEvent {
  readonly event: keyof typeof STREAM_EVENTS;
  readonly id: string;
  readonly data: OutputEventView | RunEventView | RunEndView;
}

/** How far a stream was delivered. */
export interface StreamPosition {
  /** The last number of which something was. */
  readonly seq: number;
  readonly stdout: number;
  readonly stderr: number;
  /** Whether the end was delivered, too: there is nothing to come back for. */
  readonly isEnded: boolean;
}

/**
 * Where a stream begins.
 *
 * @param reader - of the run
 * @param channel - whose output
 * @param tail - how many last lines to begin with; `undefined` for the whole output
 */
export async function startPosition(
  reader: RunReader,
  channel: OutputChannelName | 'combined',
  tail: number | undefined,
): Promise<StreamPosition> {
  if (tail === undefined) return { seq: 0, stdout: 0, stderr: 0, isEnded: false };
  // The size first: what comes between is sent, too.
  const { stdoutBytes, stderrBytes } = reader.state();
  const { lines } = await reader.tail({ channel, lines: tail });
  const firstOf = (name: OutputChannelName, bytes: number): number =>
    lines.find((line) => line.channel === name)?.offset ?? bytes;
  return {
    seq: 0,
    stdout: firstOf('stdout', stdoutBytes),
    stderr: firstOf('stderr', stderrBytes),
    isEnded: false,
  };
}

/**
 * Reads the id of an event.
 *
 * @param id - of `Last-Event-ID`
 * @throws ConductorError with code `usage` when no event has such an id
 */
export function parsePosition(id: string): StreamPosition {
  const [, seq, stdout, stderr, end] = /^(\d{1,15})-(\d{1,15})-(\d{1,15})(-end)?$/.exec(id) ?? [];
  if (seq === undefined) {
    throw new ConductorError(
      'usage',
      `Cannot go on behind event "${id}": expected the id of one that was sent`,
    );
  }
  return { seq: Number(seq), stdout: Number(stdout), stderr: Number(stderr), isEnded: end !== undefined };
}

/**
 * Turns what follows a run into events.
 *
 * @param reader - of the run
 * @param from - what was delivered before
 * @param wanted - whose output, whether to wait for more, and what ends it
 */
export async function* toStreamEvents(
  reader: RunReader,
  from: StreamPosition,
  wanted: {
    readonly channel: OutputChannelName | 'combined';
    readonly live: boolean;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<StreamEvent, void, undefined> {
  const channels = { stdout: createTextChannel(from.stdout), stderr: createTextChannel(from.stderr) };
  let seq = from.seq;
  const id = (): string => `${seq}-${channels.stdout.end()}-${channels.stderr.end()}`;
  // The last number again: of a large record only a part may have been delivered.
  for await (const item of reader.follow({ ...wanted, fromSeq: Math.max(1, from.seq) })) {
    if (item.kind === 'event') {
      if (item.seq <= from.seq) continue;
      ({ seq } = item);
      yield { event: 'event', id: id(), data: toRunEventView(item.event) };
      continue;
    }
    const channel = channels[item.channel];
    const gap = channel.gapBefore(item);
    // Bytes of a character that was cut off when the stream broke: fewer than a character has.
    if (gap > 0 && gap < MAX_CHARACTER_BYTES) {
      channel.hold(await reader.readRange(item.channel, channel.end(), gap));
    }
    for (const piece of channel.take(item)) {
      ({ seq } = item);
      yield { event: 'output', id: id(), data: { seq, atMs: item.atMs, channel: item.channel, ...piece } };
    }
  }
  if (wanted.signal.aborted) return;
  const state = reader.state();
  for (const name of ['stdout', 'stderr'] as const) {
    if (wanted.channel !== 'combined' && wanted.channel !== name) continue;
    const channel = channels[name];
    const gap = state[`${name}Bytes`] - channel.end();
    if (gap > 0 && gap < MAX_CHARACTER_BYTES) {
      channel.hold(await reader.readRange(name, channel.end(), gap));
    }
    const rest = channel.finish();
    if (rest === undefined) continue;
    yield { event: 'output', id: id(), data: { seq, atMs: state.updatedAt, channel: name, ...rest } };
  }
  const run = { paths: reader.paths, meta: reader.meta(), state };
  yield { event: 'end', id: `${id()}-end`, data: { run: toRunFullView(run) } };
}

interface Piece {
  readonly offset: number;
  readonly bytes: number;
  readonly text: string;
}

interface TextChannel {
  /** Up to where it was delivered. */
  end(): number;
  /** Bytes between what was delivered and a chunk, when nothing is held. */
  gapBefore(chunk: OutputChunk): number;
  hold(bytes: Uint8Array): void;
  take(chunk: OutputChunk): Generator<Piece, void, undefined>;
  /** What is held although no more comes. */
  finish(): Piece | undefined;
}

function createTextChannel(delivered: number): TextChannel {
  let end = delivered;
  let held: Uint8Array = new Uint8Array();

  const toPiece = (bytes: Uint8Array): Piece => {
    const piece = { offset: end, bytes: bytes.byteLength, text: Buffer.from(bytes).toString('utf8') };
    end += bytes.byteLength;
    return piece;
  };
  return {
    end: () => end,
    gapBefore: (chunk) => (held.byteLength === 0 ? chunk.offset - end : 0),
    hold(bytes) {
      held = bytes;
    },
    *take({ offset, bytes }) {
      const known = end + held.byteLength - offset;
      if (known >= bytes.byteLength) return;
      // What lies between was dropped by a limit: there is nothing to wait for.
      if (known < 0) {
        held = new Uint8Array();
        end = offset;
      }
      const fresh = Buffer.concat([held, bytes.subarray(Math.max(0, known))]);
      held = new Uint8Array();
      for (let start = 0; start < fresh.byteLength;) {
        const slice = fresh.subarray(start, start + MAX_PIECE_BYTES);
        const whole = slice.byteLength - unfinishedBytes(slice);
        // Behind the last piece the unfinished character waits; elsewhere the next piece begins with it.
        if (whole > 0) yield toPiece(slice.subarray(0, whole));
        if (start + slice.byteLength >= fresh.byteLength) {
          held = slice.subarray(whole);
          return;
        }
        start += whole;
      }
    },
    finish() {
      if (held.byteLength === 0) return undefined;
      const rest = held;
      held = new Uint8Array();
      return toPiece(rest);
    },
  };
}

/** How many bytes at the end belong to a UTF-8 character that has begun and not ended. */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back < MAX_CHARACTER_BYTES && back <= bytes.byteLength; back += 1) {
    const byte = bytes[bytes.byteLength - back] ?? 0;
    const isContinuation = (byte & 0b1100_0000) === 0b1000_0000;
    if (!isContinuation) return characterBytes(byte) > back ? back : 0;
  }
  return 0;
}

/** How long the character is that begins with this byte; 1 for what begins none. */
function characterBytes(byte: number): number {
  if (byte >= 0b1111_0000 && byte < 0b1111_1000) return 4;
  if (byte >= 0b1110_0000 && byte < 0b1111_0000) return 3;
  return byte >= 0b1100_0000 && byte < 0b1110_0000 ? 2 : 1;
}

const MAX_CHARACTER_BYTES = 4;
const MAX_PIECE_BYTES = 65_536;
