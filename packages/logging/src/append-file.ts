/**
 * A file that only grows by whole appends.
 * Invariant: after a failed append the file is as long as before it, as soon as the system lets us cut it.
 */
import { writeFully, type RunFiles } from './run-files.ts';

/** @internal One append-only file of which this process is the only writer. */
export interface AppendFile {
  /** Bytes that are whole and stay. */
  size(): number;
  /** Takes note of what another process appended, and returns the new size. */
  refreshSize(): number;
  /** Appends all of `bytes` or nothing; throws what the system threw. */
  append(bytes: Uint8Array): void;
  /** Puts what was appended on the disk. */
  dataSync(): void;
  /** Forgets everything after `length`. */
  truncate(length: number): void;
  /** Closes it; once. */
  close(): void;
}

/** @internal Opens `path` for appending, making it when absent. */
export function openAppendFile(files: RunFiles, path: string): AppendFile {
  const fd = files.open(path, 'append');
  let size = files.size(fd);
  let hasPartialAppend = false;

  const cutPartialAppend = (): void => {
    files.truncate(fd, size);
    hasPartialAppend = false;
  };
  return {
    size: () => size,
    refreshSize() {
      size = files.size(fd);
      return size;
    },
    append(bytes) {
      if (hasPartialAppend) cutPartialAppend();
      hasPartialAppend = true;
      try {
        writeFully(files, fd, bytes);
      } catch (error) {
        tryCut(cutPartialAppend);
        throw error;
      }
      size += bytes.byteLength;
      hasPartialAppend = false;
    },
    dataSync: () => files.dataSync(fd),
    truncate(length) {
      files.truncate(fd, length);
      size = length;
    },
    close: () => files.close(fd),
  };
}

/**
 * @internal Opens an NDJSON file for appending after cutting what a crash left of its last line.
 * A line counts when it ends in a newline and `isWhole` accepts it: after a power cut the tail may be NULs.
 */
export function openLineFile(files: RunFiles, path: string, isWhole: (line: string) => boolean): AppendFile {
  const file = openAppendFile(files, path);
  const fd = files.open(path, 'read');
  try {
    let end = file.size();
    for (;;) {
      const lineEnd = findNewlineBefore(files, fd, end);
      if (lineEnd === 0) {
        end = 0;
        break;
      }
      const lineStart = findNewlineBefore(files, fd, lineEnd - 1);
      const line = Buffer.allocUnsafe(lineEnd - 1 - lineStart);
      files.read(fd, line, lineStart);
      end = lineEnd;
      if (isWhole(line.toString('utf8'))) break;
      end = lineStart;
    }
    if (end < file.size()) file.truncate(end);
    return file;
  } catch (error) {
    file.close();
    throw error;
  } finally {
    files.close(fd);
  }
}

/** The offset just after the last newline before `end`; 0 when there is none. */
function findNewlineBefore(files: RunFiles, fd: number, end: number): number {
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  let blockEnd = end;
  while (blockEnd > 0) {
    const blockStart = Math.max(0, blockEnd - BLOCK_BYTES);
    const part = block.subarray(0, blockEnd - blockStart);
    const read = files.read(fd, part, blockStart);
    const at = part.subarray(0, read).lastIndexOf(NEWLINE);
    if (at >= 0) return blockStart + at + 1;
    blockEnd = blockStart;
  }
  return 0;
}

/** The append already failed; a cut that fails too is tried again before the next append. */
function tryCut(cut: () => void): void {
  try {
    cut();
  } catch {
    return;
  }
}

const NEWLINE = 10;
const BLOCK_BYTES = 64 * 1024;
