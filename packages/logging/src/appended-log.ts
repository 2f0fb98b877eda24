/**
 * One log file that several processes append to and rotate.
 * Invariant: a line goes out in one write, begins at the start of a line, and goes to the file of that path as of at most
 * a second ago.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@conductor-run/clock';

import { createLogRotator, type FileId, isSameFile } from './log-rotation.ts';

/** @internal Where lines go. */
export interface LineTarget {
  /** What to call it when it fails; `undefined` for stderr itself. */
  readonly path: string | undefined;
  /** Writes whole lines; throws what the system threw. */
  append(lines: Uint8Array): void;
}

/** @internal */
export interface AppendedLogOptions {
  readonly file: string;
  /** Infinity never rotates. */
  readonly maxBytes: number;
  readonly keep: number;
  readonly clock: Clock;
  /** The line that says what went wrong with a rotation. */
  readonly rotationFailed: (error: unknown) => Uint8Array;
}

/** @internal Opens nothing yet: the first line does, or {@link AppendedLog.open}. */
export function createAppendedLog(options: AppendedLogOptions): LineTarget & { open(): void } {
  const { file, maxBytes, keep, clock } = options;
  const rotator = createLogRotator(file, keep);
  let current: OpenFile | undefined;
  let size = 0;
  let lookedAtMs = -Infinity;
  let rotatesAtMs = -Infinity;
  let isRotationFailing = false;
  /** The last line of the file may lack its end. */
  let isTorn = false;

  const open = (): OpenFile => {
    mkdirSync(dirname(file), { recursive: true });
    const next = openForAppend(file);
    if (current !== undefined) closeSync(current.fd);
    current = next;
    ({ size } = next);
    isTorn = isLeftTorn(next, size);
    return next;
  };

  const rotate = (opened: OpenFile, nowMs: number): void => {
    try {
      rotator.rotate(opened, nowMs);
      isRotationFailing = false;
    } catch (error) {
      rotatesAtMs = nowMs + ROTATE_AGAIN_MS;
      if (!isRotationFailing) write(opened, options.rotationFailed(error));
      isRotationFailing = true;
    }
  };

  /** Makes sure that `current` is the file of that path, with room for `length` bytes. */
  const look = (length: number, nowMs: number): OpenFile => {
    const there = statSync(file, { bigint: true, throwIfNoEntry: false });
    let opened = current;
    if (opened === undefined || there === undefined || !isSameFile(opened, there)) opened = open();
    else size = Number(there.size);
    if (isTorn) isTorn = isLeftTorn(opened, size);
    lookedAtMs = nowMs;
    if (!opened.isRegular || size === 0 || size + length <= maxBytes || nowMs < rotatesAtMs) return opened;
    rotate(opened, nowMs);
    if (isSameFile(opened, statSync(file, { bigint: true, throwIfNoEntry: false }))) return opened;
    return open();
  };

  const write = ({ fd }: OpenFile, bytes: Uint8Array): void => {
    const whole = isTorn ? Buffer.concat([NEWLINE, bytes]) : bytes;
    isTorn = true;
    writeWhole(fd, whole);
    isTorn = false;
    size += whole.byteLength;
  };

  return {
    path: file,
    open: () => void open(),
    append(lines) {
      const nowMs = clock.monotonicMs();
      const isFresh = nowMs - lookedAtMs < LOOK_EVERY_MS && size + lines.byteLength <= maxBytes;
      const opened = current === undefined || !isFresh ? look(lines.byteLength, nowMs) : current;
      try {
        write(opened, lines);
      } catch (error) {
        // What is there is found out again: others may have written behind what is left of these lines.
        lookedAtMs = -Infinity;
        throw error;
      }
    },
  };
}

/** Writes all of it, however many calls it takes; normally one. */
function writeWhole(fd: number, bytes: Uint8Array): void {
  let written = writeSync(fd, bytes);
  while (written < bytes.byteLength) written += writeSync(fd, bytes, written);
}

interface OpenFile extends FileId {
  readonly fd: number;
  readonly size: number;
  readonly isRegular: boolean;
}

function openForAppend(file: string): OpenFile {
  const fd = openSync(file, 'a+', 0o600);
  try {
    const stats = fstatSync(fd, { bigint: true });
    return { fd, dev: stats.dev, ino: stats.ino, size: Number(stats.size), isRegular: stats.isFile() };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * A line that another process is writing may be seen in part, as far as the end of a page: what has no end now and has one
 * in a moment was never torn.
 */
function isLeftTorn(opened: OpenFile, size: number): boolean {
  if (endsWithNewline(opened, size)) return false;
  for (let look = 0; look < TORN_LOOKS; look += 1) {
    Atomics.wait(NEVER_NOTIFIED, 0, 0, 1);
    if (endsWithNewline(opened, fstatSync(opened.fd).size)) return false;
  }
  return true;
}

function endsWithNewline({ fd, isRegular }: OpenFile, size: number): boolean {
  if (!isRegular || size === 0) return true;
  const last = Buffer.alloc(1);
  readSync(fd, last, 0, 1, size - 1);
  return last.equals(NEWLINE);
}

const NEWLINE = Buffer.from('\n');
/** A ms each. */
const TORN_LOOKS = 5;
const NEVER_NOTIFIED = new Int32Array(new SharedArrayBuffer(4));
/** How long lines may go to a file that another process has moved away. Readers rely on it. */
const LOOK_EVERY_MS = 1_000;
const ROTATE_AGAIN_MS = 1_000;
