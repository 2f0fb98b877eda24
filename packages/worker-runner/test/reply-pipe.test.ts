/** Answers reach the step that asked, through either kind of pipe, and nobody else. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost } from '../src/index.ts';
import { writeReply } from '../src/reply-pipe.ts';
import { makeDirectory, until } from './fixtures/setup.ts';

const host = createHost();

/** A process that holds a pipe as its descriptor 4, as a wrapper does, and prints what comes. */
async function startReader(runDir: string): Promise<{ readonly pid: number; readonly lines: string[] }> {
  const script = `exec 4<<end\n\nend\nexec 4<>/proc/$$/fd/4; read -r x <&4; echo ready; while read -r x <&4; do echo "$x"; done`;
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'], cwd: runDir });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
  await until('the reader', () => lines[0] === 'ready');
  return { pid: child.pid ?? 0, lines };
}

function writePid(runDir: string, pid: number, startTime: number): void {
  writeFileSync(join(runDir, 'pid'), `${pid} ${pid} (sh) S ${'0 '.repeat(18)}${startTime} 0\n`);
}

describe('writeReply', () => {
  test('given the wrapper of the run, when written, the line arrives', async () => {
    const runDir = makeDirectory();
    const { pid, lines } = await startReader(runDir);
    writePid(runDir, pid, host.processes.read(pid)?.startTime ?? 0);

    expect(writeReply(runDir, host, 'answer\n')).toBe(true);

    await until('the line', () => lines.includes('answer'));
  });

  test("given a stranger with the wrapper's pid, when written, nothing is sent", async () => {
    const runDir = makeDirectory();
    const { pid, lines } = await startReader(runDir);
    const startTime = host.processes.read(pid)?.startTime ?? 0;
    writePid(runDir, pid, startTime + 1);

    expect(writeReply(runDir, host, 'answer\n')).toBe(false);

    writePid(runDir, pid, startTime);
    expect(writeReply(runDir, host, 'last\n')).toBe(true);
    await until('the last line', () => lines.includes('last'));
    expect(lines).toEqual(['ready', 'last']);
  });

  test('given a pipe that becomes another process in the moment it is opened, when written, nothing is sent', async () => {
    const runDir = makeDirectory();
    const { pid, lines } = await startReader(runDir);
    const entry = host.processes.read(pid);
    writePid(runDir, pid, entry?.startTime ?? 0);
    let looks = 0;
    const read = (wanted: number): typeof entry =>
      (looks += 1) === 1 ? host.processes.read(wanted) : undefined;

    expect(writeReply(runDir, { ...host, processes: { ...host.processes, read } }, 'answer\n')).toBe(false);

    expect(looks).toBe(2);
    expect(lines).toEqual(['ready']);
  });

  test('given a pipe with a name, as shells leave it that keep here-documents in files, when written, the line arrives', () => {
    const runDir = makeDirectory();
    const path = join(runDir, 'replies');
    expect(writeReply(runDir, host, 'too early\n')).toBe(false);
    execFileSync('mkfifo', [path]);
    expect(writeReply(runDir, host, 'nobody reads\n')).toBe(false);
    const fd = openSync(path, constants.O_RDWR);
    onTestFinished(() => closeSync(fd));

    expect(writeReply(runDir, host, 'answer\n')).toBe(true);

    const buffer = Buffer.alloc(100);
    expect(buffer.toString('utf8', 0, readSync(fd, buffer))).toBe('answer\n');
  });
});
