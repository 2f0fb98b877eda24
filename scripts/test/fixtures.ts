// Small workspaces on disk for the checks to look at, each with something wrong, gone when the test is over.

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { repositoryRoot } from '../workspace.ts';

/** File contents by path; an object is written as JSON. */
export type Files = Readonly<Record<string, string | object>>;

/** Writes a folder and returns its absolute path. */
export function makeFolder(files: Files): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'conductor-check-')));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  addFiles(root, files);
  return root;
}

/** Writes more files, replacing those that are there. */
export function addFiles(root: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
}

/** Writes executable shell scripts into `bin/` and returns an environment that finds them before anything else. */
export function addPrograms(root: string, programs: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  for (const [name, body] of Object.entries(programs)) {
    addFiles(root, { [`bin/${name}`]: `#!/bin/sh\n${body}\n` });
    chmodSync(join(root, 'bin', name), 0o755);
  }
  return { ...process.env, PATH: [join(root, 'bin'), process.env['PATH']].join(delimiter) };
}

/** Lets a fixture see the dependencies of this repository, for checks that compile. */
export function linkDependencies(root: string): void {
  symlinkSync(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'));
}

/** How a program ended. */
export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(file: string, args: readonly string[], cwd: string, env = process.env): Ended {
  const { status, signal, stdout, stderr } = spawnSync(file, args, { cwd, env, encoding: 'utf8', input: '' });
  return { status, signal, stdout, stderr };
}
