/**
 * A line at the bottom of a terminal that says what runs and for how long, while the step's own output scrolls above it.
 * Invariant: the line never stands in the middle of the step's output, and nothing of it is left when it is done.
 */
import type { Timer } from '@conductor-run/clock';

import { formatDuration } from '../duration.ts';
import type { CliIo } from '../io.ts';
import { createPaint, stripControl } from './style.ts';

/** A live progress line; without a terminal every call but `write` does nothing. */
export interface Progress extends Disposable {
  /** What the line says behind the spinner. */
  label(text: string): void;
  /** Writes a step's bytes through to `channel`, keeping the line below them. */
  write(channel: 'stdout' | 'stderr', bytes: Uint8Array): void;
}

/**
 * Starts a progress line.
 *
 * @param io - where to draw
 * @param label - what it says first
 */
export function startProgress(io: CliIo, label: string): Progress {
  const paint = createPaint(io);
  const startedAtMs = io.clock.monotonicMs();
  let text = label;
  let frame = 0;
  let drawn = false;
  let atLineStart = true;
  let timer: Timer | undefined;

  const erase = (): void => {
    if (drawn) io.stderr.write(ERASE_LINE);
    drawn = false;
  };
  const draw = (): void => {
    if (!io.isTerminal || !atLineStart) return;
    const elapsed = formatDuration(io.clock.monotonicMs() - startedAtMs);
    const plain = `${text}  ${elapsed}`.slice(0, io.columns - 4);
    io.stderr.write(
      `${ERASE_LINE}${paint('busy', FRAMES[frame % FRAMES.length] ?? '')} ${paint('dim', plain)}`,
    );
    drawn = true;
  };
  const tick = (): void => {
    frame += 1;
    draw();
    timer = io.clock.setTimer(FRAME_MS, tick, { keepAlive: false });
  };
  if (io.isTerminal) tick();

  return {
    label(next) {
      text = stripControl(next);
      draw();
    },
    write(channel, bytes) {
      if (bytes.length === 0) return;
      erase();
      io[channel].write(bytes);
      atLineStart = bytes[bytes.length - 1] === NEWLINE;
      draw();
    },
    [Symbol.dispose]() {
      timer?.cancel();
      erase();
      if (io.isTerminal && !atLineStart) io.stderr.write('\n');
    },
  };
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
const ERASE_LINE = '\r\u001B[2K';
const NEWLINE = 10;
