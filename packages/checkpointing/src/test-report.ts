/** Reading test reports: the door for files other tools wrote. Invariant: totals come from the whole report, only failures are capped. */
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { CheckpointError } from './errors.ts';
import { parseJUnit, rewriteJUnit } from './junit.ts';
import { requireCount, type Redactor } from './options.ts';
import { redactJson } from './redact-json.ts';
import { OPEN_FLAGS } from './regular-file.ts';
import type { NewFile } from './record-store.ts';
import type { TestFailure, TestReportFormat, TestTotals } from './record.ts';
import { parseTap } from './tap.ts';

/** Which report to read. */
export interface TestOutputOptions {
  /** The report file. */
  readonly path: string;
  /**
   * Its format.
   *
   * @defaultValue told from its content
   */
  readonly format?: TestReportFormat;
  /**
   * The largest report that is read, in bytes.
   *
   * @defaultValue 20 MiB
   */
  readonly maxBytes?: number;
  /**
   * When the run began, UTC milliseconds: a report nobody has touched since is another run's and is not recorded. Goes by the
   * time the file system keeps of the last change of any kind (ctime), as exactly as it keeps it.
   *
   * @defaultValue a report of any age is recorded
   */
  readonly notBeforeMs?: number;
}

/** @internal What a parser finds. */
export interface ParsedReport {
  readonly totals: TestTotals;
  readonly failures: readonly TestFailure[];
}

/** @internal */
export interface TestReport extends ParsedReport {
  readonly format: TestReportFormat;
  readonly truncated: boolean;
  readonly file: NewFile;
}

/**
 * @internal `undefined` for a report that is older than asked for.
 *
 * @throws {@link CheckpointError} with code `report-unreadable`
 */
export async function parseTestReport(
  options: TestOutputOptions,
  redactor: Redactor,
): Promise<TestReport | undefined> {
  const maxBytes = requireCount('maxBytes', options.maxBytes ?? 20 * 1024 * 1024, 1);
  const notBeforeMs = requireCount('notBeforeMs', options.notBeforeMs ?? 0, 0);
  const raw = await readReport(options.path, maxBytes, notBeforeMs);
  if (raw === undefined) return undefined;
  const format = options.format ?? formatOf(raw);
  const text = format === undefined ? raw : redactReport(format, raw, redactor);
  const parsed = format === undefined ? undefined : parse(format, text);
  if (format === undefined || parsed === undefined) {
    throw unreadable(
      options.path,
      `it is no ${options.format ?? 'JUnit XML, TAP, vitest JSON or jest JSON'}`,
    );
  }
  return {
    format,
    totals: parsed.totals,
    failures: parsed.failures.slice(0, MAX_FAILURES).map(cutMessage),
    truncated: parsed.failures.length > MAX_FAILURES,
    file: { ...FILES[format], content: text },
  };
}

/** As text, and as what the text means: an escape may be in the middle of a secret. */
function redactReport(format: TestReportFormat, raw: string, redactor: Redactor): string {
  const text = redactor.redact(raw);
  if (format === 'tap') return text;
  if (format === 'junit') return rewriteJUnit(text, (decoded) => redactor.redact(decoded));
  const value = parseJson(text);
  if (value === undefined) return text;
  const hidden = redactJson(redactor, value);
  return JSON.stringify(hidden) === JSON.stringify(value)
    ? text
    : `${JSON.stringify(hidden, undefined, 2)}\n`;
}

function cutMessage(failure: TestFailure): TestFailure {
  return { ...failure, message: failure.message.slice(0, MAX_MESSAGE_CHARS) };
}

/** A step may put anything in the report's place: the open does not wait for a FIFO's writer. */
async function readReport(path: string, maxBytes: number, notBeforeMs: number): Promise<string | undefined> {
  try {
    const handle = await open(path, OPEN_FLAGS);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile() || stats.size > maxBytes) {
        throw unreadable(path, `it is ${stats.isFile() ? `${stats.size} bytes` : 'no file'}`);
      }
      if (isOlder(stats.ctimeNs, notBeforeMs)) return undefined;
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError('report-unreadable', `Cannot read test report "${path}": ${String(error)}`, {
      cause: error,
    });
  }
}

function isOlder(changedAtNs: bigint, notBeforeMs: number): boolean {
  const isCoarse = changedAtNs % 1_000_000_000n === 0n;
  return Number(changedAtNs / 1_000_000n) < notBeforeMs - (isCoarse ? COARSE_MS : TICK_MS);
}

function unreadable(path: string, why: string): CheckpointError {
  return new CheckpointError(
    'report-unreadable',
    `Cannot read test report "${path}": ${why}, expected a complete test report`,
  );
}

function formatOf(text: string): TestReportFormat | undefined {
  const start = text.trimStart();
  if (start.startsWith('<')) return 'junit';
  if (start.startsWith('{')) return 'vitest-json';
  return /^(?:TAP version \d+|1\.\.\d+|(?:not )?ok\b)/m.test(start) ? 'tap' : undefined;
}

function parse(format: TestReportFormat, text: string): ParsedReport | undefined {
  if (format === 'junit') return parseJUnit(text);
  return format === 'tap' ? parseTap(text) : parseJestJson(text);
}

/** `undefined` for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parseJestJson(text: string): ParsedReport | undefined {
  const parsed = jestSchema.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  const report = parsed.data;
  const failures: TestFailure[] = [];
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter((result) => result.status === 'failed');
    for (const result of failed) {
      failures.push({
        name: result.fullName,
        message: (result.failureMessages ?? []).join('\n'),
        file: file.name,
      });
    }
    // A file that broke before its first test.
    if (failed.length === 0 && file.status === 'failed') {
      failures.push({ name: file.name, message: file.message ?? '', file: file.name });
    }
  }
  const brokenFiles = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((result) => result.status === 'failed'),
  ).length;
  return {
    totals: {
      total: report.numTotalTests + brokenFiles,
      passed: report.numPassedTests,
      failed: report.numFailedTests + brokenFiles,
      skipped: report.numTotalTests - report.numPassedTests - report.numFailedTests,
    },
    failures,
  };
}

const jestSchema = z.object({
  numTotalTests: z.int(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({
          fullName: z.string(),
          status: z.string(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
});

const FILES: Readonly<Record<TestReportFormat, Omit<NewFile, 'content'>>> = {
  junit: { name: 'report.xml', format: 'junit', mediaType: 'application/xml' },
  tap: { name: 'report.tap', format: 'tap', mediaType: 'text/plain' },
  'vitest-json': { name: 'report.json', format: 'vitest-json', mediaType: 'application/json' },
  'jest-json': { name: 'report.json', format: 'jest-json', mediaType: 'application/json' },
};
/** The kernel's clock for files moves on with each of its ticks, of which there are at least a hundred a second. */
const TICK_MS = 10;
/** The coarsest times a file system keeps. */
const COARSE_MS = 2_000;
const MAX_FAILURES = 100;
const MAX_MESSAGE_CHARS = 4096;
