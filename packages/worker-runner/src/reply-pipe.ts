/**
 * The pipe that a step reads its answers from, seen from the side that writes.
 * Invariant: a pipe is written to only while it is the step's own; its wrapper holds it open, whoever adopts the run.
 */
import { closeSync, constants, existsSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { systemCodeOf } from './errors.ts';
import type { Host } from './host.ts';
import { isProcessAlive } from './process-table.ts';
import { findLiveWrapper } from './worker-process.ts';
import { REPLIES_FD, WRAPPER_FILES } from './wrapper.ts';

/**
 * Writes one line to the step.
 *
 * @param runDir - the run
 * @param host - where its wrapper is looked up
 * @param line - at most 4,096 bytes, which a pipe takes in one piece or not at all
 * @returns false when the pipe is not there yet, has no reader, or is full
 */
export function writeReply(runDir: string, host: Host, line: string): boolean {
  const named = join(runDir, WRAPPER_FILES.replies);
  const isNamed = existsSync(named);
  const wrapper = isNamed ? undefined : findLiveWrapper(runDir, host);
  if (!isNamed && wrapper === undefined) return false;
  const path = wrapper === undefined ? named : `/proc/${wrapper.pid}/fd/${REPLIES_FD}`;
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    // Alive after the pipe was opened: the pid did not belong to anybody else meanwhile.
    if (wrapper !== undefined && !isProcessAlive(host.processes, wrapper)) return false;
    writeSync(fd, line);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENXIO', 'EAGAIN'].includes(systemCodeOf(error) ?? '')) return false;
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
