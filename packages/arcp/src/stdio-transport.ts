/**
 * Two byte streams as a transport: one JSON object a line, as between a parent and its child process.
 * Invariant: a line that is too long is reported once and skipped to its end; what follows is read as usual.
 */
import type { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { CLOSE_CODES, type Transport, type TransportClose, type TransportListener } from './transport.ts';

/** Where a stdio transport reads and writes. */
export interface StdioTransportOptions {
  /** Such as `process.stdin`, or a child's stdout. */
  readonly input: Readable;
  /** Such as `process.stdout`, or a child's stdin. Ended by `close`. */
  readonly output: Writable;
  /**
   * Characters in a line.
   *
   * @defaultValue 4,194,304
   */
  readonly maxLineLength?: number;
}

/**
 * Joins two streams.
 *
 * @param options - the streams
 */
export function createStdioTransport(options: StdioTransportOptions): Transport {
  const { input, output, maxLineLength = 4 * 1_024 * 1_024 } = options;
  const decoder = new StringDecoder('utf8');
  let listener: TransportListener | undefined;
  let parts: string[] = [];
  let length = 0;
  let isSkipping = false;
  let isOver = false;

  const finish = (close: TransportClose): void => {
    if (isOver) return;
    isOver = true;
    input.off('data', onData);
    listener?.closed(close);
  };
  const takeLine = (): void => {
    const line = parts.join('').trim();
    const wasSkipped = isSkipping;
    parts = [];
    length = 0;
    isSkipping = false;
    if (!wasSkipped && line !== '' && !isOver) listener?.message(line);
  };
  const keep = (text: string): void => {
    if (isSkipping) return;
    length += text.length;
    if (length <= maxLineLength) {
      parts.push(text);
      return;
    }
    isSkipping = true;
    parts = [];
    listener?.malformed(`line of more than ${maxLineLength} characters`);
  };
  const onData = (chunk: Buffer | string): void => {
    let text = typeof chunk === 'string' ? chunk : decoder.write(chunk);
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      keep(text.slice(0, end));
      takeLine();
      text = text.slice(end + 1);
    }
    if (text !== '') keep(text);
  };

  return {
    open(to) {
      listener = to;
      input.on('data', onData);
      input.once('end', () => finish({ code: CLOSE_CODES.goingAway, reason: 'the peer closed its stream' }));
      input.once('close', () => finish({ code: CLOSE_CODES.goingAway, reason: 'the stream is gone' }));
      input.once('error', (error) => finish({ code: CLOSE_CODES.internal, reason: error.message }));
      output.once('error', (error) => finish({ code: CLOSE_CODES.internal, reason: error.message }));
      output.on('drain', () => {
        if (!isOver) to.drained();
      });
    },
    send(messages) {
      if (isOver || messages.length === 0 || output.writableEnded || output.destroyed) return;
      const hadRoom = output.write(`${messages.join('\n')}\n`);
      if (hadRoom) setImmediate(() => (isOver ? undefined : listener?.drained()));
    },
    bufferedBytes: () => output.writableLength,
    pause: () => {
      input.pause();
    },
    resume: () => {
      input.resume();
    },
    close(close) {
      if (isOver) return;
      output.end();
      input.pause();
      setImmediate(() => finish(close));
    },
  };
}
