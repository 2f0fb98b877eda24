// `pnpm run verify`: every check of this repository, one after the other, each also alone by its script name.
// Nothing that gates a merge runs anywhere else: CI calls this file.
//
//   node scripts/verify.ts [part ...] [--without part] [--verbose] [--summary file.json]

import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Manifest, repositoryRoot } from './workspace.ts';

/** The root scripts that make up a verification, cheap and telling ones first, the tests last. */
export const parts: readonly string[] = [
  'check:format',
  'check:versions',
  'check:bans',
  'check:graph',
  'build',
  'typecheck',
  'lint',
  'check:unused',
  'check:boundaries',
  'check:changesets',
  'check:api',
  'check:pack',
  'check:docs',
  'check:reference',
  'check:schemas',
  'test:run',
];

/** How one part ended. */
export interface PartResult {
  readonly part: string;
  readonly passed: boolean;
  readonly durationMs: number;
}

/** What to run, and where to say it. */
export interface VerifyOptions {
  /** Absolute path of the folder whose package.json holds the scripts. */
  readonly root: string;
  readonly selected: readonly string[];
  /** Show the output of passing parts too. @defaultValue false */
  readonly verbose?: boolean;
  readonly print: (text: string) => void;
}

/**
 * Runs the selected parts in order and goes on after a failing one, so that one run tells everything.
 *
 * @throws Error before anything runs when a part has no script, since a check that does not run must not count as green.
 */
export async function verify(options: VerifyOptions): Promise<readonly PartResult[]> {
  const manifest = JSON.parse(readFileSync(join(options.root, 'package.json'), 'utf8')) as Manifest & {
    readonly scripts?: Readonly<Record<string, string>>;
  };
  const commands = options.selected.map((part) => {
    const command = manifest.scripts?.[part];
    if (command === undefined) throw new Error(`Cannot verify "${part}": package.json has no such script`);
    return { part, command };
  });

  const results: PartResult[] = [];
  for (const { part, command } of commands) {
    const startedMs = performance.now();
    const { passed, output } = await runCommand(options.root, command);
    const durationMs = performance.now() - startedMs;
    options.print(`${passed ? 'ok  ' : 'FAIL'}  ${part.padEnd(18)}${seconds(durationMs)}\n`);
    if (!passed || options.verbose === true) options.print(`${indent(output)}\n`);
    results.push({ part, passed, durationMs });
  }
  options.print(`${summarize(results)}\n`);
  return results;
}

function runCommand(root: string, command: string): Promise<{ passed: boolean; output: string }> {
  const bin = join(root, 'node_modules', '.bin');
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
  };
  return new Promise((resolve, reject) => {
    const child = spawn(command, { cwd: root, env, shell: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const end = signal === null ? '' : `\nended by ${signal}`;
      resolve({ passed: code === 0, output: Buffer.concat(chunks).toString('utf8').trimEnd() + end });
    });
  });
}

function summarize(results: readonly PartResult[]): string {
  const failed = results.filter(({ passed }) => !passed).map(({ part }) => part);
  const totalMs = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const total = `${results.length - failed.length} of ${results.length} parts passed in ${seconds(totalMs).trim()}`;
  if (failed.length === 0) return `verify: ${total}`;
  return `verify: ${total}; failed: ${failed.join(', ')} (run one alone: pnpm run ${failed[0]})`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`.padStart(8);
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '      ');
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      without: { type: 'string', multiple: true, default: [] },
      verbose: { type: 'boolean', default: false },
      summary: { type: 'string' },
    },
  });
  const unknown = [...positionals, ...values.without].filter((part) => !parts.includes(part));
  if (unknown.length > 0)
    throw new Error(`Cannot verify "${unknown.join(', ')}": the parts are ${parts.join(', ')}`);

  const wanted = positionals.length > 0 ? positionals : parts;
  const selected = wanted.filter((part) => !values.without.includes(part));
  const print = (text: string): void => void process.stdout.write(text);
  const results = await verify({ root: repositoryRoot, selected, verbose: values.verbose, print });
  if (values.summary !== undefined) writeFileSync(values.summary, JSON.stringify(results));
  if (results.length === 0 || results.some(({ passed }) => !passed)) process.exitCode = 1;
}
