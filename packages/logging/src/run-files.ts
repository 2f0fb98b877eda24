/**
 * The port through which a run directory is written, and its real adapter.
 * It exists so that tests can make every single write fail; all calls are synchronous and go straight to the system.
 */
import { execFile } from 'node:child_process';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';

/** How a file is opened: `append` makes it when absent, `create` refuses an existing one, `read` never makes one. */
export type OpenMode = 'append' | 'create' | 'read';

/** What a run writer asks of the file system. */
export interface RunFiles {
  /** Opens a file without following a symbolic link, with mode 0600 when it makes one. */
  open(path: string, mode: OpenMode): number;
  /** Writes at the end (or the current position) and says how many bytes went; may be fewer than given. */
  write(fd: number, bytes: Uint8Array): number;
  /** Reads into `target` from `position`; 0 at the end. */
  read(fd: number, target: Uint8Array, position: number): number;
  /** The size in bytes. */
  size(fd: number): number;
  /** Cuts the file to `length` bytes. */
  truncate(fd: number, length: number): void;
  /** Puts data and metadata on the disk. */
  sync(fd: number): void;
  /** Puts data on the disk. */
  dataSync(fd: number): void;
  /** Closes a descriptor. */
  close(fd: number): void;
  /** Puts a directory's entries on the disk; does nothing where directories cannot be opened. */
  syncDirectory(path: string): void;
  /** Replaces `to` with `from` in one step. */
  rename(from: string, to: string): void;
  /** Makes a directory and its parents, mode 0700. */
  makeDirectory(path: string): void;
  /** Makes a directory with a fresh name, mode 0700. */
  makeTemporaryDirectory(prefix: string): string;
  /** Removes a file or a tree; absent is fine. */
  remove(path: string): void;
  /** Gives the disk space of a range back; the range then reads as NUL and the size stays. Rejects where that is not possible. */
  punchHole(path: string, offset: number, bytes: number): Promise<void>;
}

/** The file system of this machine. */
export function createRealRunFiles(): RunFiles {
  return {
    open: (path, mode) => openSync(path, FLAGS[mode], 0o600),
    write: (fd, bytes) => writeSync(fd, bytes),
    read: (fd, target, position) => readSync(fd, target, 0, target.byteLength, position),
    size: (fd) => fstatSync(fd).size,
    truncate: (fd, length) => ftruncateSync(fd, length),
    sync: (fd) => fsyncSync(fd),
    dataSync: (fd) => fdatasyncSync(fd),
    close: (fd) => closeSync(fd),
    syncDirectory,
    rename: (from, to) => renameSync(from, to),
    makeDirectory: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
    makeTemporaryDirectory: (prefix) => mkdtempSync(prefix),
    remove: (path) => rmSync(path, { recursive: true, force: true }),
    punchHole,
  };
}

/** @internal Writes all of `bytes`, however many calls it takes. */
export function writeFully(files: RunFiles, fd: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.byteLength) {
    written += files.write(fd, written === 0 ? bytes : bytes.subarray(written));
  }
}

/** @internal Writes a new file beside `path` and puts it in its place, so that nobody ever sees half of it. */
export function replaceFile(files: RunFiles, path: string, text: string, durable: boolean): void {
  const temporaryPath = `${path}.tmp`;
  // A leftover of a crash is in the way of `create`, and only the one writer of a run makes this name.
  files.remove(temporaryPath);
  const fd = files.open(temporaryPath, 'create');
  try {
    writeFully(files, fd, Buffer.from(text));
    if (durable) files.sync(fd);
  } finally {
    files.close(fd);
  }
  files.rename(temporaryPath, path);
}

function syncDirectory(path: string): void {
  // Windows cannot open directories; its file systems journal renames themselves.
  if (process.platform === 'win32') return;
  const fd = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Node has no fallocate(2): util-linux's command does it. Rejects on other systems and file systems. */
async function punchHole(path: string, offset: number, bytes: number): Promise<void> {
  await execFileAsync('fallocate', [
    '--punch-hole',
    '--offset',
    String(offset),
    '--length',
    String(bytes),
    path,
  ]);
}

const execFileAsync = promisify(execFile);

// O_NOFOLLOW is 0 (undefined) on Windows.
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
const FLAGS: Readonly<Record<OpenMode, number>> = {
  append: constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | NO_FOLLOW,
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW,
  read: constants.O_RDONLY | NO_FOLLOW,
};
